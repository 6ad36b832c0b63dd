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

#endif
