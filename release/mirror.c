#include "release/mirror.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/web.h"

#define STALL_SECONDS     30
#define CONNECT_SECONDS   30
#define REDIRECTS_MOST    5L
#define HEADER_BYTES_MOST 65536
#define PAGE_BYTES_MOST   65536 /* of an answer that is no file */
#define URL_MOST          8192

struct mirror {
	struct web web;
	CURL *curl;
	char *base, *metadata, *targets; /* each ends with a slash; base may be NULL */
	int stall_seconds;
};

/* One GET while it runs. */
struct transfer {
	struct mirror *mirror;
	const char *name;
	struct mirror_sink sink;
	size_t most, received, header_bytes, page_bytes;
	bool refused; /* by us: `error` says why */
	struct error *error;
};

/* Where a name's first directory points, and whether the name comes quoted: roles are stored under their quoted names
 * and are asked for so, while a target's path is plain text. */
struct place {
	const char *prefix;
	size_t offset; /* of the base in struct mirror */
	bool quoted;
};

static const struct place places[] = {
	{"metadata/", offsetof(struct mirror, metadata), true},
	{"targets/", offsetof(struct mirror, targets), false},
	{"", offsetof(struct mirror, base), false},
};

static bool scheme_is_known(const char *url)
{
	return !strncasecmp(url, "https://", 8) || !strncasecmp(url, "http://", 7);
}

static int check_url(const char *url, struct error *error)
{
	if (!scheme_is_known(url) || strlen(url) > URL_MOST)
		return error_set(error, ERROR_USAGE, "url", "%.200s is no http:// or https:// URL", url);
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '?' || *c == '#')
			return error_set(
				error, ERROR_USAGE, "url",
				"the URL %.200s has a query, a fragment or a character that cannot stand there", url);
	return 0;
}

/* `url` (may be NULL) with one slash at its end and `below` behind it. */
static int make_base(const char *url, const char *below, char **ret_base, struct error *error)
{
	size_t size = url ? strlen(url) : 0;
	int r;

	if (!url)
		return 0;
	r = check_url(url, error);
	if (r)
		return r;
	while (size > 0 && url[size - 1] == '/')
		size--;
	if (asprintf(ret_base, "%.*s/%s", (int)size, url, below) < 0) {
		*ret_base = NULL;
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a URL");
	}
	return 0;
}

static int set_options(struct mirror *mirror, const struct mirror_settings *settings, struct error *error)
{
	const struct web *web = &mirror->web;
	CURL *curl = mirror->curl;
	CURLcode code = CURLE_OK;

#define SET(option, value) code = code ? code : web->setopt(curl, option, value)
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 1L);
	SET(CURLOPT_MAXREDIRS, REDIRECTS_MOST);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_HTTPGET, 1L);
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(CURLOPT_USERAGENT, "nightshift/" NIGHTSHIFT_VERSION);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	SET(CURLOPT_LOW_SPEED_LIMIT, (long)MIRROR_SPEED_LEAST);
	SET(CURLOPT_LOW_SPEED_TIME, (long)mirror->stall_seconds);
	if (settings->proxy)
		SET(CURLOPT_PROXY, settings->proxy);
	if (settings->authorities)
		SET(CURLOPT_CAINFO, settings->authorities);
#undef SET
	return code ? error_set(error, ERROR_BUG, "mirror", "libcurl: %s", web->strerror(code)) : 0;
}

int mirror_open(const struct mirror_settings *settings, struct mirror **ret_mirror, struct error *error)
{
	CLEANUP(mirror_free) struct mirror *mirror = calloc(1, sizeof *mirror);
	const char *metadata = settings->metadata_url ? settings->metadata_url : settings->base_url;
	const char *targets = settings->targets_url ? settings->targets_url : settings->base_url;
	int r;

	if (!mirror)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a mirror");
	mirror->stall_seconds = settings->stall_seconds > 0 ? settings->stall_seconds : STALL_SECONDS;
	r = make_base(settings->base_url, "", &mirror->base, error);
	if (!r)
		r = make_base(metadata, settings->metadata_url ? "" : "metadata/", &mirror->metadata, error);
	if (!r)
		r = make_base(targets, settings->targets_url ? "" : "targets/", &mirror->targets, error);
	if (r)
		return r;
	r = web_load(&mirror->web, error);
	if (r)
		return r;
	mirror->curl = mirror->web.init();
	if (!mirror->curl)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a transfer");
	r = set_options(mirror, settings, error);
	if (r)
		return r;
	*ret_mirror = TAKE(mirror);
	return 0;
}

void mirror_free(struct mirror **mirror)
{
	if (!*mirror)
		return;
	if ((*mirror)->curl)
		(*mirror)->web.cleanup((*mirror)->curl);
	free((*mirror)->base);
	free((*mirror)->metadata);
	free((*mirror)->targets);
	free(*mirror);
	*mirror = NULL;
}

/* What may stand in a path as it is (RFC 3986 §3.3: pchar and the slash). */
static bool is_plain(char c)
{
	return strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/", c) != NULL;
}

static int append_quoted(struct buffer *url, const char *text, bool quoted, struct error *error)
{
	int r = 0;

	for (const char *c = text; *c && !r; c++) {
		if (is_plain(*c) || (quoted && *c == '%'))
			r = buffer_append(url, c, 1, error);
		else
			r = buffer_printf(url, error, "%%%02X", (unsigned)(unsigned char)*c);
	}
	return r;
}

static int make_url(const struct mirror *mirror, const char *name, struct buffer *url, struct error *error)
{
	const struct place *place = places;
	const char *base;
	int r;

	if (!file_path_is_safe(name))
		return error_set(error, ERROR_DATA, "path", "%.200s is no name in a repository", name);
	while (strncmp(name, place->prefix, strlen(place->prefix)) != 0)
		place++;
	base = *(char *const *)((const char *)mirror + place->offset);
	if (!base)
		return error_set(error, ERROR_DATA, "missing", "no URL was given for %.200s", name);
	r = buffer_append_string(url, base, error);
	return r ? r : append_quoted(url, name + strlen(place->prefix), place->quoted, error);
}

static size_t on_header(char *bytes UNUSED, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;

	transfer->header_bytes += size * count;
	if (transfer->header_bytes <= HEADER_BYTES_MOST)
		return size * count;
	transfer->refused = true;
	error_set(transfer->error, ERROR_DATA, "length", "%.200s: the server's headers have no end", transfer->name);
	return 0;
}

static long status_of(const struct mirror *mirror)
{
	long status = 0;

	mirror->web.getinfo(mirror->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* The page that comes with another status is read past, so that the connection can be used again, but not for long. */
static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t got = size * count;

	if (status_of(transfer->mirror) != 200) {
		transfer->page_bytes += got;
		return transfer->page_bytes <= PAGE_BYTES_MOST ? got : 0;
	}
	if (got > transfer->most - transfer->received) {
		transfer->refused = true;
		error_set(transfer->error, ERROR_DATA, "length", "%.200s is longer than %zu bytes", transfer->name,
			  transfer->most);
		return 0;
	}
	transfer->received += got;
	transfer->refused = transfer->sink.write(transfer->sink.context, bytes, got, transfer->error) != 0;
	return transfer->refused ? 0 : got;
}

static int judge(const struct transfer *transfer, CURLcode code, const char *why, struct error *error)
{
	long status = status_of(transfer->mirror);

	if (status == 404 || status == 403)
		return error_set(error, ERROR_DATA, "missing", "%.200s is not on the mirror (status %ld)",
				 transfer->name, status);
	if (transfer->refused)
		return -(int)error->code;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return error_set(error, ERROR_UNREACHABLE, "slow", "%.200s: the mirror is too slow: %s", transfer->name,
				 why);
	if (code && code != CURLE_WRITE_ERROR)
		return error_set(error, ERROR_UNREACHABLE, "mirror", "%.200s: %s", transfer->name, why);
	if (status != 200)
		return error_set(error, ERROR_UNREACHABLE, "mirror", "%.200s: the mirror answers with status %ld",
				 transfer->name, status);
	return code ? error_set(error, ERROR_UNREACHABLE, "mirror", "%.200s: %s", transfer->name, why) : 0;
}

/* At the least speed all along, the whole takes no longer than this. */
static long whole_seconds(const struct mirror *mirror, size_t most)
{
	size_t seconds = most / MIRROR_SPEED_LEAST;

	return CONNECT_SECONDS + mirror->stall_seconds + (long)(seconds < 7 * 86400 ? seconds : 7 * 86400);
}

int mirror_fetch(struct mirror *mirror, const char *name, size_t most, struct mirror_sink sink, struct error *error)
{
	struct transfer transfer = {.mirror = mirror, .name = name, .sink = sink, .most = most, .error = error};
	CLEANUP(buffer_free) struct buffer url = BUFFER_INIT(2 * URL_MOST);
	char why[CURL_ERROR_SIZE] = "";
	const struct web *web = &mirror->web;
	CURL *curl = mirror->curl;
	CURLcode code = CURLE_OK;
	int r = make_url(mirror, name, &url, error);

	if (r)
		return r;
#define SET(option, value) code = code ? code : web->setopt(curl, option, value)
	SET(CURLOPT_URL, (const char *)url.data);
	SET(CURLOPT_REDIR_PROTOCOLS_STR, !strncasecmp((const char *)url.data, "https:", 6) ? "https" : "http");
	SET(CURLOPT_TIMEOUT, whole_seconds(mirror, most));
	SET(CURLOPT_ERRORBUFFER, why);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, &transfer);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, &transfer);
#undef SET
	if (code)
		return error_set(error, ERROR_BUG, "mirror", "libcurl: %s", web->strerror(code));
	code = web->perform(curl);
	r = judge(&transfer, code, *why ? why : web->strerror(code), error);
	web->setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	return r;
}

static int into_buffer(void *context, const void *bytes, size_t size, struct error *error)
{
	return buffer_append(context, bytes, size, error);
}

static int fetch(void *context, const char *name, size_t most, struct buffer *ret_bytes, struct error *error)
{
	return mirror_fetch(context, name, most, (struct mirror_sink){into_buffer, ret_bytes}, error);
}

struct trust_source mirror_source(struct mirror *mirror)
{
	return (struct trust_source){.fetch = fetch, .context = mirror};
}
