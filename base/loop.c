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
#include "base/list.h"

#define LOOP_EVENTS 64

struct watch {
	loop_ready *ready; /* NULL: not watched */
	void *context;
	uint32_t serial; /* of this watch among those of its descriptor's number */
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
	struct watch *watches; /* by descriptor */
	size_t watch_capacity;
	uint32_t last_serial;
	struct timer *timers; /* a binary heap by due */
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

void loop_free(struct loop **loop)
{
	struct loop *old = *loop;

	if (!old)
		return;
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
	struct watch *watches = realloc(loop->watches, capacity * sizeof *watches);
	if (!watches)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for another descriptor");
	memset(watches + loop->watch_capacity, 0, (capacity - loop->watch_capacity) * sizeof *watches);
	loop->watches = watches;
	loop->watch_capacity = capacity;
	return 0;
}

/* What epoll hands back names the watch by number, never by address: a descriptor that a library closed, and that a
 * child still holds for a moment, goes on reporting here. */
static struct epoll_event describe(uint32_t events, int fd, uint32_t serial)
{
	return (struct epoll_event){.events = events, .data.u64 = (uint64_t)serial << 32 | (uint32_t)fd};
}

static struct watch *find_watch(struct loop *loop, int fd)
{
	return fd >= 0 && (size_t)fd < loop->watch_capacity && loop->watches[fd].ready ? &loop->watches[fd] : NULL;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready, void *context, struct error *error)
{
	int status = make_room(loop, fd, error);

	if (status < 0)
		return status;
	if (find_watch(loop, fd))
		return error_set(error, ERROR_BUG, "loop", "descriptor %d is watched already", fd);
	struct epoll_event event = describe(events, fd, ++loop->last_serial);
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return error_set_errno(error, ERROR_BUG, "loop", "descriptor %d cannot be watched", fd);
	loop->watches[fd] = (struct watch){.ready = ready, .context = context, .serial = loop->last_serial};
	return 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events, struct error *error)
{
	const struct watch *watch = find_watch(loop, fd);

	if (!watch)
		return error_set(error, ERROR_BUG, "loop", "descriptor %d is not watched", fd);
	struct epoll_event event = describe(events, fd, watch->serial);
	if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) < 0)
		return error_set_errno(error, ERROR_BUG, "loop", "descriptor %d cannot be changed", fd);
	return 0;
}

void loop_forget(struct loop *loop, int fd)
{
	struct watch *watch = find_watch(loop, fd);

	if (!watch)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
	*watch = (struct watch){0};
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
	struct timer *timers = list_grow(loop->timers, loop->timer_count, &loop->timer_capacity, sizeof *timers);

	if (!timers)
		return 0;
	loop->timers = timers;
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
			int fd = (int)(uint32_t)events[i].data.u64;
			const struct watch *watch = find_watch(loop, fd);
			/* Forgotten in this round, or another's number by now. */
			if (watch && watch->serial == (uint32_t)(events[i].data.u64 >> 32))
				watch->ready(watch->context, fd, events[i].events);
		}
		if (!loop->stopped)
			run_timers(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
