#include "orchestrator/cli/cli_call.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "base/file.h"

#define ANSWER_MOST     (64 * 1024 * 1024)
#define CONNECT_TIMEOUT 5L
#define CALL_TIMEOUT    120L
#define STATUS_OK       200L

static void free_easy(CURL **curl)
{
	if (*curl)
		curl_easy_cleanup(*curl);
}

static void free_list(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

int cli_call_escape(const char *text, struct buffer *ret_path, struct error *error)
{
	for (const char *c = text; *c; c++) {
		unsigned char byte = (unsigned char)*c;
		bool plain = (isascii(byte) && isalnum(byte)) || strchr("-._~", *c);
		int result =
			plain ? buffer_append(ret_path, c, 1, error) : buffer_printf(ret_path, error, "%%%02X", byte);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Where an answer goes: into memory, and where it is a file that was asked for, there. */
struct answer {
	CURL *curl;
	struct buffer text;
	int file;             /* -1: none */
	struct error failure; /* of writing to it */
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
	struct answer *answer = context;
	struct error ignored;
	long status = 0;

	curl_easy_getinfo(answer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (answer->file >= 0 && status == STATUS_OK)
		return file_write_fd(answer->file, "the file", bytes, size * count, &answer->failure) < 0
			       ? 0
			       : size * count;
	return buffer_append(&answer->text, bytes, size * count, &ignored) < 0 ? 0 : size * count;
}

static int read_refusal(const json_t *answer, long status, struct error *error)
{
	const json_t *refusal = jsonio_member(answer, "error");
	const char *name = refusal ? jsonio_string(refusal, "name") : NULL;
	const char *text = refusal ? jsonio_string(refusal, "text") : NULL;
	int64_t code = refusal ? jsonio_integer(refusal, "code") : 0;

	if (!name || !text || code <= 0 || code > 255 || !error_code_is_known((int)code))
		return error_set(error, ERROR_BUG, "answer", "the API answered with HTTP status %ld and no reason",
				 status);
	return error_set(error, (enum error_code)code, name, "%s", text);
}

static int perform(const char *socket, struct answer *answer, json_t **ret_answer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *parsed = NULL;
	long status = 0;
	CURLcode code = curl_easy_perform(answer->curl);

	if (answer->failure.code) {
		*error = answer->failure;
		return -(int)error->code;
	}
	if (code == CURLE_WRITE_ERROR)
		return error_set(error, ERROR_DATA, "length", "the API's answer is longer than %d bytes", ANSWER_MOST);
	if (code != CURLE_OK)
		return error_set(
			error, ERROR_UNREACHABLE, "daemon",
			"nightshiftd does not answer at %.150s (%s): is it running, and is [api] socket the same "
			"in its configuration?",
			socket, curl_easy_strerror(code));
	curl_easy_getinfo(answer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (answer->file >= 0 && status == STATUS_OK)
		return 0;
	int result = jsonio_parse(answer->text.data, answer->text.size, "the API's answer", &parsed, error);
	if (result == 0 && status != STATUS_OK)
		result = read_refusal(parsed, status, error);
	if (result == 0)
		*ret_answer = TAKE(parsed);
	return result;
}

/* A unix socket or nothing: neither a proxy of the environment nor a redirection leads elsewhere. */
static bool set_up(CURL *curl, const char *socket, const char *url, const char *method, struct answer *answer)
{
	bool set = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK &&
		   curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;
	/* A file takes as long as it takes, as long as something comes. */
	if (answer->file >= 0)
		return set && curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
		       curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, CALL_TIMEOUT) == CURLE_OK;
	return set && curl_easy_setopt(curl, CURLOPT_TIMEOUT, CALL_TIMEOUT) == CURLE_OK;
}

static void free_answer(struct answer *answer)
{
	buffer_free(&answer->text);
}

int cli_call(const char *socket, const char *method, const char *path, const json_t *body, json_t **ret_answer,
	     struct error *error)
{
	CLEANUP(free_easy) CURL *curl = curl_easy_init();
	CLEANUP(free_list) struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CLEANUP(buffer_free) struct buffer url = BUFFER_INIT(16384), text = BUFFER_INIT(4 * 1024 * 1024);
	CLEANUP(free_answer) struct answer answer = {.curl = curl, .text = BUFFER_INIT(ANSWER_MOST), .file = -1};
	int result = buffer_printf(&url, error, "http://nightshift%s", path);

	if (result == 0 && body)
		result = jsonio_write(body, false, &text, error);
	if (result < 0)
		return result;
	if (!curl || !headers)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a call of the API");
	bool set = set_up(curl, socket, (const char *)url.data, method, &answer) &&
		   curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
	if (set && body)
		set = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)text.data) == CURLE_OK &&
		      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)text.size) == CURLE_OK;
	if (!set)
		return error_set(error, ERROR_BUG, "curl", "libcurl refuses to speak to %.150s", socket);
	return perform(socket, &answer, ret_answer, error);
}

int cli_call_file(const char *socket, const char *path, int fd, struct error *error)
{
	CLEANUP(free_easy) CURL *curl = curl_easy_init();
	CLEANUP(buffer_free) struct buffer url = BUFFER_INIT(16384);
	CLEANUP(free_answer) struct answer answer = {.curl = curl, .text = BUFFER_INIT(ANSWER_MOST), .file = fd};
	CLEANUP(jsonio_free) json_t *none = NULL;
	int result = buffer_printf(&url, error, "http://nightshift%s", path);

	if (result < 0)
		return result;
	if (!curl)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a call of the API");
	if (!set_up(curl, socket, (const char *)url.data, "GET", &answer))
		return error_set(error, ERROR_BUG, "curl", "libcurl refuses to speak to %.150s", socket);
	return perform(socket, &answer, &none, error);
}
