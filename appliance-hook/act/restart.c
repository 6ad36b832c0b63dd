#include "appliance-hook/act/restart.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "appliance-hook/act/units.h"

int restart_is_possible(const struct hook_settings *settings, struct error *error)
{
	char boot[CLOCK_BOOT_ID_SIZE];

	clock_boot_id(boot);
	if (!boot[0])
		return error_set(error, ERROR_NOT_NOW, "restart",
				 "this machine has no boot id: that it has restarted could not be known");
	return units_can_reboot(settings, error);
}

bool restart_happened(const struct journal_state *state)
{
	char boot[CLOCK_BOOT_ID_SIZE];

	clock_boot_id(boot);
	return state->boot[0] && boot[0] && strcmp(state->boot, boot) != 0;
}

void restart_wait(const struct hook_settings *settings)
{
	int64_t until = clock_ticks_ms() + 1000 * settings->units_reboot_within;
	struct timespec pause = {.tv_nsec = 100 * 1000000};

	while (clock_ticks_ms() < until)
		nanosleep(&pause, NULL);
}

static int ask(struct run *run, struct error *error)
{
	const struct hook_settings *settings = run->layout->settings;
	const struct sigaction end = {.sa_handler = SIG_DFL};
	struct sigaction before;
	int status = units_reboot(settings, error);

	if (status < 0)
		return status;
	/* A machine that goes down asks first, and would wait for whoever does not listen. */
	sigaction(SIGTERM, &end, &before);
	restart_wait(settings);
	sigaction(SIGTERM, &before, NULL);
	return error_set(error, ERROR_NOT_NOW, "restart", "the machine still runs %lld s after it was to restart",
			 (long long)settings->units_reboot_within);
}

int restart_machine(struct run *run, const char *name, struct error *error)
{
	size_t tries = journal_step_count(run_now(run), name);
	int status =
		error_set(error, ERROR_NOT_NOW, "restart", "the machine was to restart %zu times and did not", tries);

	/* Counted here too: what cannot be written down is not done, and does not raise the journal's count. */
	for (; tries < RESTART_TRIES; tries++)
		status = run_do(run, name, ask, error);
	return status;
}
