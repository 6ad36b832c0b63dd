/* A hub, a link and stock clients in processes of their own, with the test as supervisor, engine, serve and check. */
#ifndef TEST_HUB_RIG_H
#define TEST_HUB_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "appliance-hook/link/link.h"
#include "base/packet.h"
#include "dialogue/stream.h"
#include "keys/sshkey.h"

#define RIG_WAIT_MS 20000

struct rig {
	char directory[64]; /* its own, removed at the end */
	pid_t hub, link;
	int supervisor, engine, parent, check;
	uint16_t port;
	uint8_t host_key[32], key[32]; /* public */
	uint8_t seed[32];              /* of the appliance */
	char key_hex[65];
};

int rig_set_up(void **state);
int rig_tear_down(void **state);

/* A new engine that has admitted the appliance "box" and is ready; closes the one before. */
void rig_engine(struct rig *rig);
/* Sends to a SEQPACKET socket; takes the object. */
void rig_say(int socket, json_t *message);
/* The next packet that has this member with this text; others are dropped (with their descriptors). ret_fd NULL: none
 * must be there. */
json_t *rig_expect(int socket, const char *member, const char *text, int *ret_fd);

/* A listening socket of that name in the rig's directory, and a connection to one. */
int rig_listen_unix(const struct rig *rig, const char *name);
int rig_connect_unix(const struct rig *rig, const char *name);

extern const struct link_settings rig_plain; /* as the join says */
/* Starts link, with "hook.sock". Nothing is connected before the parent says so. */
void rig_link(struct rig *rig, const struct link_settings *settings);
void rig_end_link(struct rig *rig);
void rig_open_tunnel(struct rig *rig);
/* Says HELLO over a control stream's descriptor and waits for the reply. */
struct stream *rig_greet(int fd);
/* The whole way: tunnel, HELLO on check's side, and the engine's packet. */
struct stream *rig_hello(struct rig *rig, json_t **ret_packet);
/* The engine asks for that control stream's descriptor; rig_attach is given it, too. */
void rig_ask_attach(struct rig *rig, const json_t *hello);
int rig_attach(struct rig *rig, const json_t *hello);
/* All of it: `hook` on check's side, the descriptor on the engine's. */
int rig_attached(struct rig *rig, struct stream **ret_hook, json_t **ret_hello);
/* The engine expects so many bulk streams with that ticket. */
void rig_ask_streams(struct rig *rig, const json_t *hello, const char *ticket, int count);

/* Writes `size` patterned bytes into one descriptor and reads the same out of the other. */
void rig_pass(int from, int to, size_t size);
/* Both blocking, until end of file or the wait is over. */
bool rig_is_closed(int fd);

/* Starts ssh with the rig's key, known host and port, then `arguments`; stdin and stdout are *ret_fd. */
pid_t rig_ssh(struct rig *rig, const char *key_file, int *ret_fd, const char *const *arguments);
/* Writes an OpenSSH key file into the rig's directory; the path is borrowed from `path`. */
void rig_write_key(struct rig *rig, const uint8_t seed[static 32], const char *name, char path[static 128]);
int rig_wait(pid_t child);

#endif
