/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides by an image's first bytes what it is, has qemu-img look at it, and refuses one that would make QEMU
 * open another file, or that is not what a person would have meant. Called by appliance.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "deploy/appliance_parts.h"
#include "deploy/tool_run.h"
#include "util/cleanup.h"

#define INFO_MS 60000

CLEANUP_DEFINE(json_t *, json_decref)

const char *const image_format_names[APPLIANCE_FORMAT_COUNT] = {
	[APPLIANCE_RAW] = "raw", [APPLIANCE_QCOW2] = "qcow2", [APPLIANCE_VMDK] = "vmdk"};

/* qemu-img takes for raw what it does not know. */
int image_check_raw(const char *path, char ret_why[APPLIANCE_WHY_SIZE])
{
	static const struct {
		const char *what, *magic;
		size_t size;
	} packed[] = {{"gzip", "\x1f\x8b", 2},
		      {"xz",
		       "\xfd"
		       "7zXZ",
		       5},
		      {"zstd", "\x28\xb5\x2f\xfd", 4},
		      {"bzip2", "BZh", 3},
		      {"zip", "PK\x03\x04", 4},
		      {"7-Zip", "7z\xbc\xaf", 4}};
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char head[512];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);

	if (n < 0)
		return appliance_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++)
		if ((size_t)n >= packed[i].size && memcmp(head, packed[i].magic, packed[i].size) == 0)
			return appliance_why(ret_why, -EINVAL, "it is compressed (%s): unpack it first",
					     packed[i].what);
	if (n < (ssize_t)sizeof(head) || head[510] != 0x55 || head[511] != 0xaa)
		return appliance_why(ret_why, -EINVAL,
				     "it is neither an OVA nor a qcow2 image nor a disk with a boot record");
	return 0;
}

static const char behind[] = "it has another file behind it: make one image of both by qemu-img convert";

static int not_taken(const char *format, char ret_why[APPLIANCE_WHY_SIZE])
{
	return appliance_why(ret_why, -EINVAL,
			     "an image of format %.30s is not taken: convert it to qcow2 by qemu-img",
			     format);
}

/* Every extent is the image itself. */
static bool one_file(const json_t *extents, const char *path)
{
	const json_t *extent;
	size_t i;

	json_array_foreach(extents, i, extent)
	{
		const char *name = json_string_value(json_object_get(extent, "filename"));

		if (!name || strcmp(name, path) != 0)
			return false;
	}
	return json_array_size(extents) == 1;
}

static int judge(const json_t *info, const char *path, bool vmdk, struct image *ret,
		 char ret_why[APPLIANCE_WHY_SIZE])
{
	const json_t *specific = json_object_get(json_object_get(info, "format-specific"), "data");
	const char *format = json_string_value(json_object_get(info, "format"));
	json_int_t size = json_integer_value(json_object_get(info, "virtual-size"));
	int found = -1;

	for (int i = 0; format && i < APPLIANCE_FORMAT_COUNT; i++)
		if (strcmp(format, image_format_names[i]) == 0)
			found = i;
	if (found < 0 || (found == APPLIANCE_VMDK && !vmdk))
		return not_taken(format ? format : "unknown", ret_why);
	if (json_object_get(info, "backing-filename") || json_object_get(specific, "data-file"))
		return appliance_why(ret_why, -EINVAL, "%s", behind);
	if (found == APPLIANCE_VMDK && !one_file(json_object_get(specific, "extents"), path))
		return appliance_why(ret_why, -EINVAL, "its parts are in other files");
	if (json_is_true(json_object_get(info, "encrypted")) || json_object_get(specific, "encrypt"))
		return appliance_why(ret_why, -EINVAL, "it is encrypted");
	if (json_is_true(json_object_get(specific, "corrupt")))
		return appliance_why(ret_why, -EBADMSG, "it is marked as corrupt: see qemu-img check");
	if (size <= 0)
		return appliance_why(ret_why, -EINVAL, "it is empty");
	*ret = (struct image){.format = (enum appliance_format)found, .size = (uint64_t)size};
	return found == APPLIANCE_RAW ? image_check_raw(path, ret_why) : 0;
}

/* By its first bytes. qemu-img that is left to guess takes a text for a VMDK's description and opens the
 * files, devices and servers that it names, before anything can be refused; so it does with a VMDK that has
 * no size of its own, and where it is old with a qcow2's data file. */
static int format_of(const char *path, enum appliance_format *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	static const struct {
		const char *name, *magic;
		size_t size;
	} others[] = {{"luks", "LUKS\xba\xbe", 6}, {"vhdx", "vhdxfile", 8}, {"vpc", "conectix", 8},
		      {"vdi", "<<< ", 4},	   {"qed", "QED\0", 4},	    {"vmdk", "COWD", 4}};
	static const char parts[] = "its parts are in other files", text[] = "# Disk Desc";
	static const unsigned char none[8] = {0};
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char head[80] = {0};
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);

	if (n < 0)
		return appliance_why(ret_why, -errno, "%.200s: %s", path, strerror(errno));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (memcmp(head, others[i].magic, others[i].size) == 0)
			return not_taken(others[i].name, ret_why);
	if (memcmp(head, text, strlen(text)) == 0)
		return appliance_why(ret_why, -EINVAL, "%s", parts);
	*ret = APPLIANCE_RAW;
	if (memcmp(head, "QFI\xfb", 4) == 0) {
		/* Version 3 has what a reader must know, in the last of 8 bytes: an external data file. */
		if (head[7] > 2 && head[79] & 4)
			return appliance_why(ret_why, -EINVAL, "%s", behind);
		*ret = APPLIANCE_QCOW2;
	} else if (memcmp(head, "KDMV", 4) == 0) {
		if (memcmp(head + 12, none, sizeof(none)) == 0) /* its capacity */
			return appliance_why(ret_why, -EINVAL, "%s", parts);
		*ret = APPLIANCE_VMDK;
	}
	return 0;
}

int image_look(const char *path, int keep_fd, bool vmdk, struct image *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	const char *args[] = {"qemu-img", "info", "--output=json", "-f", NULL, path, NULL};
	_cleanup_(json_decref_p) json_t *info = NULL;
	_cleanup_free_ char *text = NULL;
	enum appliance_format format;
	char words[APPLIANCE_WHY_SIZE];
	struct image image;
	int r;

	r = format_of(path, &format, ret_why);
	if (r < 0)
		return r;
	args[4] = image_format_names[format];
	r = tool_ask(args, INFO_MS, keep_fd, &text, words, sizeof(words));
	if (r == -EIO)
		return appliance_why(ret_why, -EBADMSG, "%.400s", words);
	if (r < 0)
		return appliance_why(ret_why, r, "%.400s", words);
	info = json_loads(text, 0, NULL);
	if (!info)
		return appliance_why(ret_why, -EBADMSG, "qemu-img's answer can't be understood");
	r = judge(info, path, vmdk, &image, ret_why);
	if (r == 0)
		*ret = image;
	return r;
}
