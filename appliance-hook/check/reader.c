#include "appliance-hook/check/reader.h"

#include "base/file.h"
#include "base/sandbox.h"
#include "dialogue/offer.h"
#include "release/chain.h"

#define FILE_NAME "the offline file"

struct reader {
	int file;
	struct bundle *bundle;
	struct error why; /* code set: the file is no bundle, whatever is asked for */
};

static void end_reader(struct reader *reader)
{
	bundle_free(&reader->bundle);
	file_close(&reader->file);
}

static int send(void *context, const void *bytes, size_t size, struct error *error)
{
	return offer_bytes(context, bytes, size, error);
}

static int answer(void *context, const char *name, struct offer *offer, struct error *error)
{
	struct reader *reader = context;
	if (reader->why.code) {
		*error = reader->why;
		return -(int)error->code;
	}
	return bundle_send(reader->bundle, chain_member(name), MANIFEST_BYTES_MOST, (struct bundle_sink){send, offer},
			   error);
}

int reader_run_take(int file, int stream, struct error *error)
{
	CLEANUP(end_reader) struct reader reader = {.file = file};
	CLEANUP(file_close) int end = stream;
	bool enforced = false;
	if (sandbox_confine(NULL, 0, &enforced, error) < 0 || sandbox_enter(SANDBOX_FILES, "check's reader", error) < 0)
		return -(int)error->code;
	if (bundle_open_fd_take(reader.file, FILE_NAME, &reader.bundle, &reader.why) < 0 && reader.why.code == 0)
		error_set(&reader.why, ERROR_BUG, "bundle", FILE_NAME " cannot be read");
	reader.file = -1;
	int taken = end;
	end = -1;
	return offer_run_take(taken, answer, &reader, error);
}
