#include "release/delta_number.h"

int delta_number_write(struct buffer *bytes, uint64_t number, struct error *error)
{
	uint8_t text[10];
	size_t size = 0;
	do {
		text[size] = (uint8_t)(number & 0x7f);
		number >>= 7;
		if (number > 0)
			text[size] |= 0x80;
		size++;
	} while (number > 0);
	return buffer_append(bytes, text, size, error);
}

bool delta_number_take(const uint8_t **at, const uint8_t *end, uint64_t *ret_number)
{
	uint64_t number = 0;
	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		number |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}

uint64_t delta_number_fold(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}

uint64_t delta_number_unfold(uint64_t number)
{
	return number >> 1 ^ (0 - (number & 1));
}
