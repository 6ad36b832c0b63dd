#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define LOOP_EVENTS 64

struct watch {
	int fd; /* -1: forgotten while events were being handed out */
	loop_ready *ready;
	void *context;
	struct watch *next;
};

struct timer {
	uint64_t id;
	int64_t due;
	loop_timer *run;
	void *context;
};

struct loop {
	int epoll;
	int signal_fd;
	sigset_t signals;
	loop_signal *handlers[NSIG];
	void *handler_contexts[NSIG];
	struct watch **watches; /* by descriptor */
	size_t watch_capacity;
	struct watch *forgotten; /* freed after the round in which they were forgotten */
	struct timer *timers;    /* a binary heap by due */
	size_t timer_count, timer_capacity;
	uint64_t last_id;
	bool stopped;
};

int loop_new(struct loop **ret_loop, struct error *error)
{
	struct loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an event loop");
	loop->signal_fd = -1;
	sigemptyset(&loop->signals);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return error_set_errno(error, ERROR_CANNOT_CREATE, "loop", "an event loop cannot be made");
	}
	*ret_loop = loop;
	return 0;
}

static void free_forgotten(struct loop *loop)
{
	while (loop->forgotten) {
		struct watch *watch = loop->forgotten;
		loop->forgotten = watch->next;
		free(watch);
	}
}

void loop_free(struct loop **loop)
{
	struct loop *old = *loop;

	if (!old)
		return;
	for (size_t i = 0; i < old->watch_capacity; i++)
		free(old->watches[i]);
	free_forgotten(old);
	free(old->watches);
	free(old->timers);
	file_close(&old->signal_fd);
	file_close(&old->epoll);
	free(old);
	*loop = NULL;
}

static int make_room(struct loop *loop, int fd, struct error *error)
{
	if ((size_t)fd < loop->watch_capacity)
		return 0;
	size_t capacity = loop->watch_capacity ? loop->watch_capacity : 64;
	while (capacity <= (size_t)fd)
		capacity *= 2;
	struct watch **watches = realloc(loop->watches, capacity * sizeof *watches);
	if (!watches)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for another descriptor");
	memset(watches + loop->watch_capacity, 0, (capacity - loop->watch_capacity) * sizeof *watches);
	loop->watches = watches;
	loop->watch_capacity = capacity;
	return 0;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready, void *context, struct error *error)
{
	int status = make_room(loop, fd, error);

	if (status < 0)
		return status;
	struct watch *watch = calloc(1, sizeof *watch);
	if (!watch)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for another descriptor");
	*watch = (struct watch){.fd = fd, .ready = ready, .context = context};
	struct epoll_event event = {.events = events, .data.ptr = watch};
	if (loop->watches[fd] || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(watch);
		return error_set_errno(error, ERROR_BUG, "loop", "descriptor %d cannot be watched", fd);
	}
	loop->watches[fd] = watch;
	return 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events, struct error *error)
{
	if (fd < 0 || (size_t)fd >= loop->watch_capacity || !loop->watches[fd])
		return error_set(error, ERROR_BUG, "loop", "descriptor %d is not watched", fd);
	struct epoll_event event = {.events = events, .data.ptr = loop->watches[fd]};
	if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) < 0)
		return error_set_errno(error, ERROR_BUG, "loop", "descriptor %d cannot be changed", fd);
	return 0;
}

void loop_forget(struct loop *loop, int fd)
{
	if (fd < 0 || (size_t)fd >= loop->watch_capacity || !loop->watches[fd])
		return;
	struct watch *watch = loop->watches[fd];
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd] = NULL;
	/* An event of this round may still point at it. */
	watch->fd = -1;
	watch->next = loop->forgotten;
	loop->forgotten = watch;
}

static void swap_timers(struct timer *a, struct timer *b)
{
	struct timer kept = *a;

	*a = *b;
	*b = kept;
}

static void sift_down(struct loop *loop, size_t at)
{
	for (;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < loop->timer_count; child++)
			if (loop->timers[child].due < loop->timers[least].due)
				least = child;
		if (least == at)
			return;
		swap_timers(&loop->timers[at], &loop->timers[least]);
		at = least;
	}
}

static void sift_up(struct loop *loop, size_t at)
{
	for (; at > 0 && loop->timers[at].due < loop->timers[(at - 1) / 2].due; at = (at - 1) / 2)
		swap_timers(&loop->timers[at], &loop->timers[(at - 1) / 2]);
}

uint64_t loop_after(struct loop *loop, int64_t delay_ms, loop_timer *run, void *context)
{
	if (loop->timer_count == loop->timer_capacity) {
		size_t capacity = loop->timer_capacity ? 2 * loop->timer_capacity : 16;
		struct timer *timers = realloc(loop->timers, capacity * sizeof *timers);
		if (!timers)
			return 0;
		loop->timers = timers;
		loop->timer_capacity = capacity;
	}
	size_t at = loop->timer_count++;
	loop->timers[at] = (struct timer){
		.id = ++loop->last_id, .due = clock_ticks_ms() + delay_ms, .run = run, .context = context};
	sift_up(loop, at);
	return loop->last_id;
}

static void remove_timer(struct loop *loop, size_t at)
{
	loop->timers[at] = loop->timers[--loop->timer_count];
	if (at < loop->timer_count) {
		sift_down(loop, at);
		sift_up(loop, at);
	}
}

void loop_cancel(struct loop *loop, uint64_t timer_id)
{
	for (size_t i = 0; i < loop->timer_count; i++)
		if (loop->timers[i].id == timer_id) {
			remove_timer(loop, i);
			return;
		}
}

static void run_timers(struct loop *loop)
{
	int64_t now = clock_ticks_ms();
	/* Those that a timer adds wait for the next round, so that none can starve the descriptors. */
	uint64_t newest = loop->last_id;

	while (!loop->stopped && loop->timer_count && loop->timers[0].due <= now && loop->timers[0].id <= newest) {
		struct timer timer = loop->timers[0];
		remove_timer(loop, 0);
		timer.run(timer.context);
	}
}

void loop_on_signal(struct loop *loop, int signal, loop_signal *handler, void *context)
{
	loop->handlers[signal] = handler;
	loop->handler_contexts[signal] = context;
	sigaddset(&loop->signals, signal);
	/* From now on it waits for us: a child that ends before the loop runs is not missed. */
	sigprocmask(SIG_BLOCK, &loop->signals, NULL);
}

static void read_signal(void *context, int fd, uint32_t events UNUSED)
{
	struct loop *loop = context;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
		int number = (int)info.ssi_signo;
		if (loop->handlers[number])
			loop->handlers[number](loop->handler_contexts[number], number);
		else
			loop->stopped = true;
	}
}

static int take_signals(struct loop *loop, struct error *error)
{
	sigaddset(&loop->signals, SIGTERM);
	sigaddset(&loop->signals, SIGINT);
	sigprocmask(SIG_BLOCK, &loop->signals, NULL);
	loop->signal_fd = signalfd(-1, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "loop", "signals cannot be taken");
	return loop_watch(loop, loop->signal_fd, EPOLLIN, read_signal, loop, error);
}

static int wait_time(const struct loop *loop)
{
	if (!loop->timer_count)
		return -1;
	int64_t left = loop->timers[0].due - clock_ticks_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

int loop_run(struct loop *loop, bool signals, struct error *error)
{
	struct epoll_event events[LOOP_EVENTS];

	loop->stopped = false;
	if (signals && loop->signal_fd < 0) {
		int status = take_signals(loop, error);
		if (status < 0)
			return status;
	}
	while (!loop->stopped) {
		int count = epoll_wait(loop->epoll, events, LOOP_EVENTS, wait_time(loop));
		if (count < 0 && errno != EINTR)
			return error_set_errno(error, ERROR_BUG, "loop", "waiting for events failed");
		for (int i = 0; i < count && !loop->stopped; i++) {
			struct watch *watch = events[i].data.ptr;
			if (watch->fd >= 0)
				watch->ready(watch->context, watch->fd, events[i].events);
		}
		free_forgotten(loop);
		if (!loop->stopped)
			run_timers(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
