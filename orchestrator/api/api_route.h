/* The routes: method, path, who may, the body's fields. One table, api_route.c. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "orchestrator/api/api_call.h"

struct api_route {
	const char *method;
	const char *pattern; /* "/v1/customers/STAR/contacts": a star stands for one component */
	unsigned roles;      /* bits of enum api_role */
	api_handler *handler;
	const struct jsonio_field *fields; /* of the JSON body; NULL: no body */
};

#define API_PATH_MOST 512

/* The path's components are copied to `storage`, to which the parameters point. ERROR_USAGE "route" when nothing
 * matches. */
int api_route_find(const char *method, const char *path, char storage[static API_PATH_MOST],
		   const char *ret_parameters[static API_PARAMETERS_MOST], const struct api_route **ret_route,
		   struct error *error) MUST_CHECK;

/* Checks the role, then the body, then runs the handler; whatever is not GET inside a transaction. `body` may be NULL.
 * Objects that are not known (ERROR_DATA "unknown-…" of the store) become ERROR_USAGE here. */
int api_route_run(const struct api_route *route, struct api_call *call, const json_t *body, json_t **ret_answer,
		  struct error *error) MUST_CHECK;

#endif
