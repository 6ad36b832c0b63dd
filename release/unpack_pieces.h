/* A content that comes in pieces, in whatever order and from several threads: written where it belongs and hashed from
 * its start on, from memory where a piece comes in time. */
#ifndef RELEASE_UNPACK_PIECES_H
#define RELEASE_UNPACK_PIECES_H

#include "release/unpack_state.h"

struct unpack_pieces; /* of one content */

/* NULL: no memory. */
struct unpack_pieces *unpack_pieces_new(void);
void unpack_pieces_free(struct unpack_pieces **pieces);

/* The pieces of a content do not overlap. */
enum unpack_whole { UNPACK_PARTIAL, UNPACK_GOOD, UNPACK_BAD };
/* Writes one; *ret_whole says of the piece that makes it whole whether it is what the manifest says, of all others
 * UNPACK_PARTIAL. */
int unpack_pieces_take(struct unpack *unpack, struct unpack_pieces *pieces, struct staging_hand *hand, size_t content,
		       uint64_t offset, const uint8_t *bytes, size_t size, enum unpack_whole *ret_whole,
		       struct error *error) MUST_CHECK;

#endif
