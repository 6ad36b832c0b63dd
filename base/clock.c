#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec;
}

int64_t clock_ticks_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_format_utc(int64_t time, char text[static CLOCK_UTC_SIZE])
{
	struct tm parts;
	time_t seconds = time < 0 ? 0 : time > 253402300799 ? 253402300799 : (time_t)time;

	gmtime_r(&seconds, &parts);
	strftime(text, CLOCK_UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* Fixed-width decimal; -1 when a character is no digit. */
static int digits(const char *text, int count)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

int clock_parse_utc(const char *text, int64_t *ret_time, struct error *error)
{
	struct tm parts = {0};
	char again[CLOCK_UTC_SIZE];

	if (strlen(text) != CLOCK_UTC_SIZE - 1)
		return error_set(error, ERROR_DATA, "time", "\"%.40s\" is not a time of the form 2027-01-03T01:30:00Z",
				 text);
	parts.tm_year = digits(text, 4) - 1900;
	parts.tm_mon = digits(text + 5, 2) - 1;
	parts.tm_mday = digits(text + 8, 2);
	parts.tm_hour = digits(text + 11, 2);
	parts.tm_min = digits(text + 14, 2);
	parts.tm_sec = digits(text + 17, 2);
	time_t time = parts.tm_year >= 70 ? timegm(&parts) : -1;
	/* Written back, it must be the same text: that refuses every field out of range and every wrong separator. */
	clock_format_utc((int64_t)time, again);
	if (time < 0 || strcmp(text, again) != 0)
		return error_set(error, ERROR_DATA, "time", "\"%s\" is not a time of the form 2027-01-03T01:30:00Z",
				 text);
	*ret_time = (int64_t)time;
	return 0;
}

void clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	id[0] = 0;
	if (fd < 0)
		return;
	ssize_t size = read(fd, id, CLOCK_BOOT_ID_SIZE - 1);
	id[size > 0 ? size : 0] = 0;
	id[strcspn(id, "\n")] = 0;
	close(fd);
}
