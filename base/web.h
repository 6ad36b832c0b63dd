/* libcurl, loaded by whoever fetches something by HTTP, when it does. Some forty libraries come with it: no process has
 * them, and runs what they run when they are loaded, that does not need them. */
#ifndef BASE_WEB_H
#define BASE_WEB_H

#include <curl/curl.h>

#include "base/error.h"

/* By libcurl's names, without "curl_easy_". */
struct web {
	CURL *(*init)(void);
	CURLcode (*setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*perform)(CURL *curl);
	CURLcode (*getinfo)(CURL *curl, CURLINFO info, ...);
	const char *(*strerror)(CURLcode code);
	void (*cleanup)(CURL *curl);
};

/* For good: a second time costs nothing. ERROR_CONFIG "libcurl" where it is not installed. */
int web_load(struct web *ret_web, struct error *error) MUST_CHECK;

#endif
