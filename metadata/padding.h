/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the NUL padding at the end of a block or of its first part begins. Called by the codecs and for
 * each image, for every byte of every block, hence by pieces. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline size_t padding_begin(const uint8_t *bytes, size_t length)
{
	static const uint8_t zeros[1024];

	for (size_t piece = sizeof(zeros); piece > 0; piece /= 4)
		while (length >= piece && memcmp(bytes + length - piece, zeros, piece) == 0)
			length -= piece;
	return length;
}
