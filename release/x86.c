#include "release/x86.h"

#define SIZE_MOST 15

/* What follows an opcode. M: ModRM; b, z, w, v, o: an immediate of 8 bits, of 16 or 32, of 16, of up to 64, an address
 * of 64; B, Z: ModRM and then b, z; e: w and b; r: a distance of 32 bits; G, H: ModRM, and b or z where its register is
 * 0 or 1; p: a prefix; x: nothing that is met in 64-bit code. */
static const char one_byte[] = "MMMMbzxxMMMMbzxx"  /* 00 */
			       "MMMMbzxxMMMMbzxx"  /* 10 */
			       "MMMMbzpxMMMMbzpx"  /* 20 */
			       "MMMMbzpxMMMMbzpx"  /* 30 */
			       "xxxxxxxxxxxxxxxx"  /* 40: REX */
			       "................"  /* 50 */
			       "xxxMppppzZbB...."  /* 60 */
			       "bbbbbbbbbbbbbbbb"  /* 70 */
			       "BZxBMMMMMMMMMMMM"  /* 80 */
			       "..........x....."  /* 90 */
			       "oooo....bz......"  /* a0 */
			       "bbbbbbbbvvvvvvvv"  /* b0 */
			       "BBw.xxBZe.w..bx."  /* c0 */
			       "MMMMxxx.MMMMMMMM"  /* d0 */
			       "bbbbbbbbrrxb...."  /* e0 */
			       "p.pp..GH......MM"; /* f0 */

/* Behind 0f. */
static const char two_bytes[] = "MMMMx.....x.xM.B"  /* 00 */
				"MMMMMMMMMMMMMMMM"  /* 10 */
				"MMMMxxxxMMMMMMMM"  /* 20 */
				"........xxxxxxxx"  /* 30 */
				"MMMMMMMMMMMMMMMM"  /* 40 */
				"MMMMMMMMMMMMMMMM"  /* 50 */
				"MMMMMMMMMMMMMMMM"  /* 60 */
				"BBBBMMM.MMMMMMMM"  /* 70 */
				"rrrrrrrrrrrrrrrr"  /* 80 */
				"MMMMMMMMMMMMMMMM"  /* 90 */
				"...MBM.....MBMMM"  /* a0 */
				"MMMMMMMMMMBMMMMM"  /* b0 */
				"MMBMBBBM........"  /* c0 */
				"MMMMMMMMMMMMMMMM"  /* d0 */
				"MMMMMMMMMMMMMMMM"  /* e0 */
				"MMMMMMMMMMMMMMMM"; /* f0 */

/* Reads on; once it is past the end everything is 0 and `short_of` says so. */
struct cursor {
	const uint8_t *bytes;
	size_t size, at;
	bool short_of;
};

static uint8_t next(struct cursor *cursor)
{
	if (cursor->at >= cursor->size) {
		cursor->short_of = true;
		return 0;
	}
	return cursor->bytes[cursor->at++];
}

struct opcode {
	uint8_t byte;
	char follows;
	bool first_map; /* of one byte */
	bool wide;      /* REX.W */
	bool narrow;    /* 66 */
};

/* The maps of VEX and EVEX are those behind 0f, 0f 38 and 0f 3a, always with ModRM but for VZEROUPPER. */
static char of_vector(unsigned map, uint8_t opcode)
{
	switch (map) {
	case 1:
		return opcode == 0x77 ? '.' : two_bytes[opcode] == 'B' ? 'B' : 'M';
	case 2:
	case 5:
	case 6:
		return 'M';
	case 3:
		return 'B';
	default:
		return 'x';
	}
}

static void take_vector(struct cursor *cursor, uint8_t kind, struct opcode *opcode)
{
	uint8_t first = next(cursor);
	unsigned map = kind == 0xc5 ? 1 : kind == 0xc4 ? first & 0x1f : first & 0x07;
	for (int i = kind == 0xc5 ? 1 : kind == 0xc4 ? 2 : 3; i > 1; i--)
		next(cursor);
	opcode->byte = next(cursor);
	opcode->follows = of_vector(map, opcode->byte);
}

static void take_escaped(struct cursor *cursor, struct opcode *opcode)
{
	opcode->byte = next(cursor);
	opcode->follows = two_bytes[opcode->byte];
	if (opcode->byte == 0x38 || opcode->byte == 0x3a) {
		opcode->follows = opcode->byte == 0x38 ? 'M' : 'B';
		next(cursor);
	}
}

static struct opcode take_opcode(struct cursor *cursor)
{
	struct opcode opcode = {0};
	uint8_t byte = next(cursor);

	while (one_byte[byte] == 'p' && !cursor->short_of) {
		opcode.narrow |= byte == 0x66;
		byte = next(cursor);
	}
	if ((byte & 0xf0) == 0x40) {
		opcode.wide = (byte & 8) != 0;
		byte = next(cursor);
	}
	if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
		take_vector(cursor, byte, &opcode);
	} else if (byte == 0x0f) {
		take_escaped(cursor, &opcode);
	} else {
		opcode.byte = byte;
		opcode.follows = one_byte[byte];
		opcode.first_map = true;
	}
	return opcode;
}

/* ModRM, SIB and displacement; G and H become what they stand for. The place of a distance in *ret_operand. */
static void take_modrm(struct cursor *cursor, struct opcode *opcode, size_t *ret_operand)
{
	uint8_t modrm = next(cursor);
	unsigned mode = modrm >> 6, base = modrm & 7;

	if (opcode->follows == 'G' || opcode->follows == 'H') {
		bool immediate = (modrm >> 3 & 7) < 2;
		opcode->follows = !immediate ? 'M' : opcode->follows == 'G' ? 'B' : 'Z';
	}
	if (mode == 3)
		return;
	if (mode == 0 && base == 5)
		*ret_operand = cursor->at;
	bool wide = mode == 2 || (mode == 0 && base == 5);
	if (base == 4 && (next(cursor) & 7) == 5 && mode == 0)
		wide = true;
	cursor->at += wide ? 4 : mode == 1 ? 1 : 0;
}

static size_t immediate_size(const struct opcode *opcode)
{
	switch (opcode->follows) {
	case 'b':
	case 'B':
		return 1;
	case 'w':
		return 2;
	case 'e':
		return 3;
	case 'z':
	case 'Z':
		return opcode->narrow ? 2 : 4;
	case 'v':
		return opcode->wide ? 8 : opcode->narrow ? 2 : 4;
	case 'o':
		return 8;
	case 'r':
		return 4;
	default:
		return 0;
	}
}

bool x86_decode(const uint8_t *bytes, size_t size, struct x86_instruction *ret_instruction)
{
	struct cursor cursor = {.bytes = bytes, .size = size < SIZE_MOST ? size : SIZE_MOST};
	size_t operand = 0;
	struct opcode opcode = take_opcode(&cursor);

	switch (opcode.follows) {
	case 'x':
	case 'p':
		return false;
	case 'r':
		/* Conditional jumps lead nowhere outside their function: as distances they stay as they are. */
		operand = opcode.first_map ? cursor.at : 0;
		break;
	case 'M':
	case 'B':
	case 'Z':
	case 'G':
	case 'H':
		take_modrm(&cursor, &opcode, &operand);
		break;
	default:
		break;
	}
	cursor.at += immediate_size(&opcode);
	if (cursor.short_of || cursor.at > cursor.size)
		return false;
	*ret_instruction = (struct x86_instruction){
		.size = (uint8_t)cursor.at,
		.operand = (uint8_t)operand,
		.is_address = opcode.first_map && opcode.byte == 0x8d && operand != 0,
	};
	return true;
}
