/* A small event loop over epoll: descriptors and timers, for the processes that wait for many. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/error.h"

struct loop;

/* `events` are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. A callback may remove any descriptor, its own too. */
typedef void loop_ready(void *context, int fd, uint32_t events);
typedef void loop_timer(void *context);

int loop_new(struct loop **ret_loop, struct error *error) MUST_CHECK;
void loop_free(struct loop **loop);

/* The loop does not own the descriptor. One watch a descriptor. */
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready, void *context,
	       struct error *error) MUST_CHECK;
int loop_change(struct loop *loop, int fd, uint32_t events, struct error *error) MUST_CHECK;
void loop_forget(struct loop *loop, int fd);

/* Once, `delay_ms` from now (clock_ticks_ms). Returns an id > 0, 0 when memory ends. */
uint64_t loop_after(struct loop *loop, int64_t delay_ms, loop_timer *timer, void *context);
void loop_cancel(struct loop *loop, uint64_t timer_id);

/* Runs until loop_stop, SIGTERM or SIGINT (both are taken through a signalfd when `signals`). */
int loop_run(struct loop *loop, bool signals, struct error *error) MUST_CHECK;
void loop_stop(struct loop *loop);
/* SIGCHLD and SIGHUP too, when asked for before loop_run. */
typedef void loop_signal(void *context, int signal);
void loop_on_signal(struct loop *loop, int signal, loop_signal *handler, void *context);

#endif
