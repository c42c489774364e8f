/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gives a fuzz target every file of the directories named: whole, and each of its first blocks alone and with
 * each byte changed by some fixed ways. Needs no fuzzer, so that every compiler runs it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz_target.h"
#include "util/cleanup.h"

#define BLOCK 4096
#define CHANGED_BYTES 700 /* of each block */

static void replay_block(const uint8_t *data, size_t size)
{
	static const uint8_t changes[] = {0x01, 0x0c, 0x80, 0xff};
	uint8_t block[BLOCK];

	if (size > sizeof(block))
		size = sizeof(block);
	memcpy(block, data, size);
	LLVMFuzzerTestOneInput(block, size);
	for (size_t at = 0; at < size && at < CHANGED_BYTES; at++) {
		for (size_t i = 0; i < sizeof(changes); i++) {
			block[at] ^= changes[i];
			LLVMFuzzerTestOneInput(block, size);
			block[at] ^= changes[i];
		}
	}
}

static void replay_file(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	uint8_t data[4 * BLOCK];
	size_t size;

	if (!file) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, sizeof(data), file);
	LLVMFuzzerTestOneInput(data, size);
	for (size_t at = 0; at < size; at += BLOCK)
		replay_block(data + at, size - at);
}

int main(int argc, char **argv)
{
	char path[4096];
	unsigned files = 0;

	for (int i = 1; i < argc; i++) {
		DIR *directory = opendir(argv[i]);
		const struct dirent *entry;

		while (directory && (entry = readdir(directory))) {
			const char *end = strrchr(entry->d_name, '.');

			if (!end || strcmp(end, ".bin") != 0)
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			replay_file(path);
			files++;
		}
		if (directory)
			closedir(directory);
	}
	printf("%u files\n", files);
	return files > 0 ? 0 : 1;
}
