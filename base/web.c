#include "base/web.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

static const struct {
	const char *name;
	size_t place; /* in struct web */
} calls[] = {
	{"curl_easy_init", offsetof(struct web, init)},         {"curl_easy_setopt", offsetof(struct web, setopt)},
	{"curl_easy_perform", offsetof(struct web, perform)},   {"curl_easy_getinfo", offsetof(struct web, getinfo)},
	{"curl_easy_strerror", offsetof(struct web, strerror)}, {"curl_easy_cleanup", offsetof(struct web, cleanup)},
};

int web_load(struct web *ret_web, struct error *error)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct web web;

	for (size_t i = 0; library && i < ARRAY_SIZE(calls); i++) {
		void *call = dlsym(library, calls[i].name);
		if (!call)
			library = NULL;
		/* POSIX has both fit into one another. */
		memcpy((char *)&web + calls[i].place, &call, sizeof call);
	}
	if (!library) {
		const char *why = dlerror();
		return error_set(error, ERROR_CONFIG, "libcurl", "nothing can be fetched by HTTP: %.300s",
				 why ? why : LIBRARY " is another");
	}
	*ret_web = web;
	return 0;
}
