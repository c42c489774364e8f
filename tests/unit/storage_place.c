/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes and removes images and loop devices. It detaches only what it attached. Called by the unit tests of
 * storage/. */
#include "tests/unit/storage_place.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Memory is much faster; but sanlock needs direct I/O, which older kernels don't have there. */
static bool memory(void)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void place_open(struct storage_place *place, uint64_t size, unsigned sector_size, bool read_only)
{
	char command[128], *output = NULL, *made;
	int fd, r;

	*place = (struct storage_place){0};
	snprintf(place->dir, sizeof(place->dir), "%s/ovirt-ha-test-XXXXXX",
		 memory() ? "/dev/shm" : "/var/tmp");
	made = mkdtemp(place->dir);
	assert(made);
	snprintf(place->image, sizeof(place->image), "%s/image", place->dir);
	snprintf(place->disk, sizeof(place->disk), "%s", place->image);
	fd = open(place->image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert(fd >= 0);
	r = ftruncate(fd, (off_t)size);
	assert(r == 0);
	close(fd);
	if (sector_size == 0)
		return;
	snprintf(command, sizeof(command), "losetup --find --show --sector-size %u %s \"$DISK\"", sector_size,
		 read_only ? "--read-only" : "");
	bool ran = place_run(place, command, &output);
	assert(ran);
	output[strcspn(output, "\n")] = '\0';
	snprintf(place->disk, sizeof(place->disk), "%s", output);
	free(output);
}

void place_close(struct storage_place *place)
{
	bool ran;

	if (strcmp(place->disk, place->image) != 0) {
		ran = place_run(place, "losetup --detach \"$DISK\"", NULL);
		assert(ran);
	}
	ran = place_run(place, "rm -rf \"$DIR\"", NULL);
	assert(ran);
}

bool place_run(const struct storage_place *place, const char *command, char **ret_output)
{
	char line[2048], *text = NULL;
	size_t size = 0;
	FILE *pipe;
	int status;

	setenv("DISK", place->disk, 1);
	setenv("DIR", place->dir, 1);
	snprintf(line, sizeof(line), "exec 2>&1; PATH=$PATH:/usr/sbin:/sbin; %s", command);
	setenv("COMMAND", line, 1);
	pipe = popen("timeout 20 sh -c \"$COMMAND\"", "r");
	assert(pipe);
	if (getdelim(&text, &size, '\0', pipe) < 0) {
		free(text);
		text = strdup("");
	}
	status = pclose(pipe);
	if (status != 0)
		printf("# %s: %s\n", command, text);
	if (ret_output)
		*ret_output = text;
	else
		free(text);
	return status == 0;
}

void place_put(const struct storage_place *place, uint64_t at, const void *bytes, size_t size)
{
	int fd = open(place->disk, O_RDWR | O_CLOEXEC);

	assert(fd >= 0);
	ssize_t n = pwrite(fd, bytes, size, (off_t)at);
	assert(n == (ssize_t)size);
	if (strcmp(place->disk, place->image) != 0)
		fsync(fd); /* for place_read() */
	close(fd);
}

uint8_t *place_read(const struct storage_place *place, size_t *ret_size)
{
	int fd = open(place->image, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *bytes;

	assert(fd >= 0);
	int r = fstat(fd, &st);
	assert(r == 0);
	bytes = malloc((size_t)st.st_size);
	assert(bytes);
	for (size_t done = 0; done < (size_t)st.st_size;) {
		ssize_t n = read(fd, bytes + done, (size_t)st.st_size - done);

		assert(n > 0);
		done += (size_t)n;
	}
	close(fd);
	*ret_size = (size_t)st.st_size;
	return bytes;
}
