/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random walks through fuzz_step.c's histories, short ones and a long one, until STEPS are made; any compiler
 * runs it, and the same seed walks the same way:
 *
 *     walk_step STEPS SEED [FILE|FOLDER..]
 *
 * The files, what libFuzzer found for example, are played first; a folder without a file is an error. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/step_walk.h"

#define SHORT_WALK 512
#define LONG_WALK (1 << 20)

static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static int play_file(const char *path)
{
	static uint8_t bytes[LONG_WALK];
	FILE *file = fopen(path, "re");

	if (!file) {
		perror(path);
		return -1;
	}
	LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof(bytes), file));
	fclose(file);
	return 0;
}

static int play(const char *path)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	unsigned files = 0;
	int r = 0;

	if (!folder)
		return play_file(path);
	while (r == 0 && (entry = readdir(folder))) {
		char file[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		r = play_file(file);
		files++;
	}
	closedir(folder);
	if (files == 0)
		fprintf(stderr, "%s: no files\n", path);
	return files > 0 ? r : -1;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[LONG_WALK];
	uint64_t steps, seed;

	if (argc < 3) {
		fprintf(stderr, "walk_step STEPS SEED [FILE|FOLDER..]\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		if (play(argv[i]) < 0)
			return 1;
	steps = strtoull(argv[1], NULL, 10);
	seed = strtoull(argv[2], NULL, 10);
	while (step_walk_steps < steps) {
		size_t size = step_walk_steps < steps / 2 ? SHORT_WALK : LONG_WALK;

		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)next_random(&seed);
		LLVMFuzzerTestOneInput(bytes, size);
	}
	printf("%" PRIu64 " steps\n", step_walk_steps);
	return 0;
}
