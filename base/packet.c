#include "base/packet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"

int packet_send(int socket, const json_t *object, int fd, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(PACKET_MOST);
	int status = jsonio_write(object, false, &text, error);

	return status < 0 ? status : process_send(socket, text.data, text.size, fd, error);
}

int packet_send_take(int socket, json_t *object, int fd, struct error *error)
{
	if (!object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a message between processes");
	int status = packet_send(socket, object, fd, error);
	json_decref(object);
	return status;
}

int packet_receive(int socket, json_t **ret_object, int *ret_fd, struct error *error)
{
	CLEANUP(free_pointer) char *bytes = malloc(PACKET_MOST);
	CLEANUP(jsonio_free) json_t *object = NULL;
	CLEANUP(file_close) int fd = -1;
	size_t size = 0;

	if (!bytes)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a message between processes");
	int status = process_receive(socket, bytes, PACKET_MOST, &size, &fd, error);
	if (status < 0)
		return status;
	if (size == 0)
		return error_set(error, ERROR_UNREACHABLE, "closed", "the other process has closed");
	status = jsonio_parse(bytes, size, "a message between processes", &object, error);
	if (status < 0)
		return status;
	if (!json_is_object(object))
		return error_set(error, ERROR_DATA, "format", "a message between processes is not an object");
	*ret_object = TAKE(object);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int packet_wait(int socket, int64_t deadline, json_t **ret_object, int *ret_fd, struct error *error)
{
	for (;;) {
		struct pollfd watched = {.fd = socket, .events = POLLIN};
		int64_t left = deadline - clock_ticks_ms();
		if (left <= 0)
			return error_set(error, ERROR_UNREACHABLE, "timeout",
					 "the other process did not answer in time");
		int count = poll(&watched, 1, left > 60000 ? 60000 : (int)left);
		if (count < 0 && errno != EINTR)
			return error_set_errno(error, ERROR_UNREACHABLE, "closed",
					       "the other process cannot be waited for");
		if (count > 0)
			return packet_receive(socket, ret_object, ret_fd, error);
	}
}

/* A sentence may quote the name of a file, or be cut inside of a letter; what is not UTF-8 is no JSON. */
static json_t *text_of(const char *bytes)
{
	char plain[sizeof((struct error *)NULL)->text];
	json_t *text = json_string(bytes);

	if (text)
		return text;
	snprintf(plain, sizeof plain, "%s", bytes);
	for (char *at = plain; *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	return json_string(plain);
}

json_t *packet_from_error(const struct error *error)
{
	return json_pack("{s:i, s:o, s:o}", "code", (int)error->code, "name", text_of(error->name), "text",
			 text_of(error->text));
}

json_t *packet_refusal(const struct error *error)
{
	return json_pack("{s:o}", "error", packet_from_error(error));
}

int packet_to_error(const json_t *object, struct error *error)
{
	int64_t code = jsonio_integer(object, "code");
	const char *name = jsonio_string(object, "name"), *text = jsonio_string(object, "text");

	/* What another calls a success is no success. */
	return error_set(error,
			 code <= UINT8_MAX && error_code_is_known((int)code) ? (enum error_code)code : ERROR_DATA,
			 name ? name : "refused", "%s", text ? text : "the other side refused without a reason");
}
