/* JSON objects between our own processes: one object a SEQPACKET packet, at most one descriptor beside it. */
#ifndef BASE_PACKET_H
#define BASE_PACKET_H

#include "base/jsonio.h"

#define PACKET_MOST (64 * 1024)

/* `fd` -1: none; a descriptor that is sent stays the caller's. */
int packet_send(int socket, const json_t *object, int fd, struct error *error) MUST_CHECK;
/* Takes the object: for `packet_send_take(socket, json_pack(…), fd, error)`; a NULL one is memory's end. */
int packet_send_take(int socket, json_t *object, int fd, struct error *error) MUST_CHECK;

/* Caller owns *ret_object and *ret_fd (-1: none came). End of file is ERROR_UNREACHABLE "closed"; an empty non-blocking
 * socket ERROR_NOT_NOW "again". */
int packet_receive(int socket, json_t **ret_object, int *ret_fd, struct error *error) MUST_CHECK;
/* Waits at most until `deadline` (clock_ticks_ms): ERROR_UNREACHABLE "timeout". */
int packet_wait(int socket, int64_t deadline, json_t **ret_object, int *ret_fd, struct error *error) MUST_CHECK;
/* An error as an object {code, name, text}, and {"error":{…}} around it; NULL when memory ends. */
json_t *packet_from_error(const struct error *error);
json_t *packet_refusal(const struct error *error);
/* And back: fills `error` and returns its negative code, never 0, whatever the object holds. NULL: no reason given. */
int packet_to_error(const json_t *object, struct error *error);

#endif
