#include "appliance-hook/cli/places.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#define GENERATION_FILE "generation"
enum { USER_MOST = 64, GENERATION_MOST = 32 };

static bool find_user(const char *base, const char *role, struct places_user *ret_user)
{
	char name[USER_MOST];
	struct error ignored = {0};
	int length = snprintf(name, sizeof(name), "%s-%s", base, role);
	return base[0] && length > 0 && (size_t)length < sizeof(name) &&
	       process_user(name, &ret_user->uid, &ret_user->gid, &ignored) == 0;
}

int places_find_users(const struct hook_settings *settings, struct places_users *ret_users, struct error *error)
{
	struct places_users users = {{(uid_t)-1, (gid_t)-1}, {(uid_t)-1, (gid_t)-1}};
	if (geteuid() == 0 &&
	    (!find_user(settings->user, "link", &users.link) || !find_user(settings->user, "check", &users.check))) {
		users.link = (struct places_user){PLACES_LINK_UID, PLACES_LINK_UID};
		users.check = (struct places_user){PLACES_CHECK_UID, PLACES_CHECK_UID};
	}
	if (geteuid() == 0 && (users.link.uid == users.check.uid || users.link.uid == 0 || users.check.uid == 0))
		return error_set(error, ERROR_CONFIG, "user",
				 "link and check need two different users, neither of them root");
	*ret_users = users;
	return 0;
}

/* One directory below an open one. Owner changes only as root, and only where it differs. */
static int open_one(int parent, const char *name, const struct places_user *owner, mode_t mode, int *ret_fd,
		    struct error *error)
{
	struct stat status;
	CLEANUP(file_close) int fd = -1;
	if (file_make_directory_at(parent, name, mode, error) < 0 ||
	    file_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0, &fd, error) < 0)
		return -(int)error->code;
	if (fstat(fd, &status) < 0 || fchmod(fd, mode) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "%s", name);
	if (owner && owner->uid != (uid_t)-1 && (status.st_uid != owner->uid || status.st_gid != owner->gid) &&
	    fchown(fd, owner->uid, owner->gid) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "%s", name);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int places_open(const struct hook_settings *settings, const struct places_users *users, struct places *ret_places,
		struct error *error)
{
	CLEANUP(places_close) struct places places = PLACES_CLOSED;
	CLEANUP(file_close) int root = -1;
	if (file_make_directories(settings->state, 0755, error) < 0 ||
	    file_make_directories(settings->product_root, 0755, error) < 0 ||
	    file_open_directory(settings->state, &places.state, error) < 0 ||
	    file_open_directory(settings->product_root, &root, error) < 0 ||
	    open_one(places.state, "link", &users->link, 0700, &places.link, error) < 0 ||
	    open_one(places.state, "trust", &users->check, 0700, &places.trust, error) < 0 ||
	    open_one(places.trust, "metadata", &users->check, 0700, &places.metadata, error) < 0 ||
	    open_one(places.state, settings->product, NULL, 0755, &places.product, error) < 0 ||
	    open_one(root, "releases", NULL, 0755, &places.releases, error) < 0)
		return -(int)error->code;
	*ret_places = places;
	places = PLACES_CLOSED;
	return 0;
}

void places_close(struct places *places)
{
	file_close(&places->state);
	file_close(&places->link);
	file_close(&places->trust);
	file_close(&places->metadata);
	file_close(&places->product);
	file_close(&places->releases);
}

/* A key that link may not read is none: it is link's from the moment it stands there. */
int places_write_link_file(const struct places *places, const struct places_users *users, const char *name,
			   const struct buffer *content, struct error *error)
{
	return file_replace_for_at(places->link, name, content->data, content->size, 0600, users->link.uid,
				   users->link.gid, error);
}

int places_next_generation(const struct places *places, struct error *error)
{
	CLEANUP(buffer_free) struct buffer old = BUFFER_INIT(GENERATION_MOST);
	char text[GENERATION_MOST];
	int64_t generation = 0;
	struct error reading = {0};
	if (file_read_at(places->state, GENERATION_FILE, &old, &reading) == 0 && old.size > 0) {
		generation = strtoll((const char *)old.data, NULL, 10);
	} else if (reading.code != 0 && strcmp(reading.name, "missing") != 0) {
		*error = reading;
		return -(int)error->code;
	}
	int length = snprintf(text, sizeof(text), "%" PRId64 "\n", generation < 0 ? 1 : generation + 1);
	return file_replace_at(places->state, GENERATION_FILE, text, (size_t)length, 0644, error);
}
