/* A client over the repository of fixture.h: what test_trust.c and test_trust_store.c share. */
#ifndef TESTS_KEYS_TRUST_FIXTURE_H
#define TESTS_KEYS_TRUST_FIXTURE_H

#include "fixture.h"

struct state {
	struct repository repository;
	struct trust *trust;
	struct buffer installed;
	char path[64];
	int directory;
};

UNUSED static int begin(void **state)
{
	struct state *s = calloc(1, sizeof *s);
	struct error error = {0};

	repository_init(&s->repository);
	publish_all(&s->repository);
	s->directory = make_directory(s->path);
	s->installed = sign_document(s->repository.root, "\1");
	assert_ok(trust_open(s->directory, s->installed.data, s->installed.size, &s->trust, &error));
	*state = s;
	return 0;
}

UNUSED static int end(void **state)
{
	struct state *s = *state;

	trust_free(&s->trust);
	repository_free(&s->repository);
	buffer_free(&s->installed);
	drop_directory(s->path, s->directory);
	free(s);
	return 0;
}

UNUSED static int refresh(struct state *s, struct error *error)
{
	s->repository.asked[0] = '\0';
	return trust_refresh(s->trust, repository_source(&s->repository), TRUST_ALL, NOW, error);
}

/* As a later run of the program would start. */
UNUSED static void reopen(struct state *s)
{
	struct error error = {0};

	trust_free(&s->trust);
	assert_ok(trust_open(s->directory, s->installed.data, s->installed.size, &s->trust, &error));
}

UNUSED static void assert_versions(const struct state *s, int root, int timestamp, int snapshot, int targets)
{
	assert_int_equal(trust_version(s->trust, ROLE_ROOT), root);
	assert_int_equal(trust_version(s->trust, ROLE_TIMESTAMP), timestamp);
	assert_int_equal(trust_version(s->trust, ROLE_SNAPSHOT), snapshot);
	assert_int_equal(trust_version(s->trust, ROLE_TARGETS), targets);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
