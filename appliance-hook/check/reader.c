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

static int answer(void *context, const char *name, struct offer *offer, struct error *error)
{
	struct reader *reader = context;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);
	if (reader->why.code) {
		*error = reader->why;
		return -(int)error->code;
	}
	struct trust_source source = chain_source(reader->bundle);
	if (source.fetch(source.context, name, MANIFEST_BYTES_MOST, &bytes, error) < 0)
		return -(int)error->code;
	return offer_bytes(offer, bytes.data, bytes.size, error);
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
