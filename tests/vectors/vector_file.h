/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds and reads recorded files for tests and benches: from VECTORS_DIR, the large ones from IMAGES_DIR,
 * where the build makes them. May end the program: without its data a test can tell nothing. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

/* The file's bytes, and zeros behind them up to at least `at_least` bytes. The caller frees it. */
static inline unsigned char *vector_read(const char *name, size_t at_least, size_t *ret_size)
{
	static const char *const places[] = {"VECTORS_DIR", "IMAGES_DIR"};
	unsigned char *bytes;
	size_t size, got;

	for (size_t i = 0; i < 2; i++) {
		const char *directory = getenv(places[i]);
		_cleanup_fclose_ FILE *file = NULL;
		char path[4096];

		if (!directory)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, name);
		file = fopen(path, "re");
		if (!file)
			continue;
		fseek(file, 0, SEEK_END);
		size = (size_t)ftell(file);
		rewind(file);
		bytes = calloc(1, (size > at_least ? size : at_least) + 1);
		got = bytes ? fread(bytes, 1, size, file) : 0;
		if (got != size || !bytes)
			abort();
		*ret_size = size;
		return bytes;
	}
	fprintf(stderr, "%s is in neither VECTORS_DIR nor IMAGES_DIR\n", name);
	abort();
}
