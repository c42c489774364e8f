/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Archives as made here header by header, so that each may be wrong in one way, and recorded ones of other
 * programs (tests/fuzz/conf_archives). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metadata/conf_archive.h"
#include "util/cleanup.h"

#define JUMP "generation"
#define FILE_SIZE_MAX 16384

static uint8_t tar[2 * CONF_ARCHIVE_MAX];
static size_t tar_size;

/* A ustar header and `size` bytes of `fill`; `claimed`: the size that the header says. */
static void add(const char *name, char type, const char *link, size_t claimed, size_t size, char fill)
{
	char *header = (char *)tar + tar_size;
	unsigned sum = 0;

	assert_true(tar_size + CONF_TAR_BLOCK + size + CONF_TAR_BLOCK <= sizeof(tar));
	memset(header, 0, CONF_TAR_BLOCK);
	snprintf(header, 100, "%s", name);
	memcpy(header + 100, "0100644", 8); /* a regular file's, as some write it: the type counts */
	memcpy(header + 108, "0000000", 8);
	memcpy(header + 116, "0000000", 8);
	snprintf(header + 124, 12, "%011zo", claimed);
	memcpy(header + 136, "00000000000", 12);
	memset(header + 148, ' ', 8);
	header[156] = type;
	snprintf(header + 157, 100, "%s", link);
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < CONF_TAR_BLOCK; i++)
		sum += (uint8_t)header[i];
	snprintf(header + 148, 8, "%06o", sum);
	tar_size += CONF_TAR_BLOCK;
	memset(tar + tar_size, fill, size);
	tar_size += size;
	while (tar_size % CONF_TAR_BLOCK != 0)
		tar[tar_size++] = 0;
}

static void add_file(const char *name, size_t size)
{
	add(name, '0', "", size, size, 'x');
}

static void add_end(void)
{
	memset(tar + tar_size, 0, 2 * CONF_TAR_BLOCK);
	tar_size += 2 * CONF_TAR_BLOCK;
}

static void add_whole(void)
{
	for (unsigned i = 0; i < CONF_ENTRY_COUNT; i++)
		add_file(conf_entry_str((enum conf_entry)i), 10 + i);
}

static void more_whole(void)
{
}

static void none_at_all(void)
{
	tar_size = 0;
}

static void one_missing(void)
{
	tar_size -= 2 * CONF_TAR_BLOCK; /* the last one */
}

static void unknown_name(void)
{
	add_file("later.conf", 700);
	add_file("vm.conf.old", 0);
}

static void largest(void)
{
	tar_size = 0;
	add_file("broker.conf", CONF_TEXT_MAX);
	add_file("fhanswers.conf", 0);
	add_file("version", 1);
	add_file("hosted-engine.conf", 5);
	add_file("vm.conf", CONF_TEXT_MAX);
}

static void too_large(void)
{
	tar_size = 0;
	add_file("vm.conf", CONF_TEXT_MAX + 1);
}

static void huge_claim(void)
{
	tar_size = 0;
	add("vm.conf", '0', "", 077777777777, 10, 'x');
}

static void twice(void)
{
	add_file("version", 3);
}

static void twice_empty(void)
{
	tar_size = 0;
	add_file("version", 0);
	add_file("version", 0);
}

static void symbolic_link(void)
{
	add("vm.conf", '2', "/etc/shadow", 0, 0, 0);
}

static void hard_link(void)
{
	tar_size = 0;
	add_file("version", 3);
	add("vm.conf", '1', "version", 0, 0, 0);
}

static void unknown_hard_link(void)
{
	add("later.conf", '1', "version", 0, 0, 0);
}

static void directory(void)
{
	add("later", '5', "", 0, 0, 0);
}

static void device(void)
{
	add("vm.conf", '3', "", 0, 0, 0);
}

static void pipe_entry(void)
{
	add("vm.conf", '6', "", 0, 0, 0);
}

static void absolute(void)
{
	add_file("/etc/passwd", 3);
}

static void upwards(void)
{
	add_file("../vm.conf", 3);
}

static void dots(void)
{
	add_file("..", 3);
}

static void nameless(void)
{
	add_file("", 3);
}

static void escape_codes(void)
{
	add("\033[2J\xc3\xa4", '5', "", 0, 0, 0);
}

static void nul_within(void)
{
	tar_size = 0;
	add("vm.conf", '0', "", 20, 20, '\0');
}

static void cut_in_text(void)
{
	tar_size = 0;
	add("vm.conf", '0', "", 9000, 100, 'x');
}

static void cut_in_header(void)
{
	tar_size -= 2 * CONF_TAR_BLOCK - 100;
}

static void bad_checksum(void)
{
	tar[100] ^= 1;
}

static void bad_later_checksum(void)
{
	tar[2 * CONF_TAR_BLOCK + 100] ^= 1;
}

static void many(void)
{
	for (unsigned i = 0; i < 60; i++)
		add_file("later", 0);
}

static void noise(void)
{
	memset(tar, 0xa5, 8192);
	tar_size = 8192;
}

static void zeros(void)
{
	tar_size = 0;
	add_end();
}

static void compressed(void)
{
	memcpy(tar, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
}

static const struct row {
	const char *name;
	void (*change)(void);
	const char *cause; /* in it; NULL: taken */
	unsigned others;
} rows[] = {
	{"whole", more_whole, NULL, 0},
	{"other names are passed over", unknown_name, NULL, 2},
	{"largest, in another order", largest, NULL, 0},
	{"nothing", none_at_all, "no sound tar", 0},
	{"one missing", one_missing, "fhanswers.conf: missing", 0},
	{"too large", too_large, "vm.conf: too long", 0},
	{"larger than any disk", huge_claim, "vm.conf: too long", 0},
	{"twice", twice, "version: there twice", 0},
	{"twice, empty", twice_empty, "version: there twice", 0},
	{"symbolic link", symbolic_link, "vm.conf: not a regular file", 0},
	{"hard link", hard_link, "vm.conf: not a regular file", 0},
	{"hard link of another name", unknown_hard_link, "later.conf: not a regular file", 0},
	{"directory", directory, "later: not a regular file", 0},
	{"device", device, "vm.conf: not a regular file", 0},
	{"pipe", pipe_entry, "vm.conf: not a regular file", 0},
	{"absolute path", absolute, "/etc/passwd: not the name of an entry", 0},
	{"path upwards", upwards, "../vm.conf: not the name of an entry", 0},
	{"dots", dots, "..: not the name of an entry", 0},
	{"no name", nameless, "", 0},
	{"escape codes", escape_codes, "?[2J??: not a regular file", 0},
	{"NUL in a text", nul_within, "vm.conf: no text", 0},
	{"cut in a text", cut_in_text, "vm.conf: ", 0},
	{"cut in a header", cut_in_header, "entry 5: ", 0},
	{"bad checksum", bad_checksum, "no sound tar", 0},
	{"bad checksum of the second", bad_later_checksum, "entry 2: ", 0},
	{"too many", many, "too many entries", 0},
	{"noise", noise, "no sound tar", 0},
	{"zeros", zeros, "version: missing", 0},
	{"compressed", compressed, "no sound tar", 0},
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct conf_archive found = {.others = 99};
		char cause[CONF_CAUSE_SIZE] = "?";
		int r;

		tar_size = 0;
		add_whole();
		row->change();
		if (row->change != cut_in_header && row->change != none_at_all)
			add_end();
		r = conf_archive_unpack(tar, tar_size, &found, cause);
		if (r != (row->cause ? -EBADMSG : 0))
			fail_msg("%s: %d, %s", row->name, r, cause);
		if (row->cause && (!cause[0] || strncmp(cause, row->cause, strlen(row->cause)) != 0))
			fail_msg("%s: the cause is %s", row->name, cause);
		if (row->cause) {
			assert_int_equal(found.others, 99); /* untouched */
			continue;
		}
		assert_string_equal(cause, "");
		assert_int_equal(found.others, row->others);
		for (size_t j = 0; j < CONF_ENTRY_COUNT; j++)
			assert_int_equal(strlen(found.texts[j].text), found.texts[j].length);
		conf_archive_done(&found);
	}
}

static void set(struct conf_archive *archive, enum conf_entry entry, const char *text)
{
	assert_int_equal(conf_archive_set(archive, entry, text, strlen(text)), 0);
}

static void test_round_trip(void **state)
{
	static const char *const texts[CONF_ENTRY_COUNT] = {"1.0.0\n", "vmid=x y\nfqdn=\xc3\xa4 \"'\\\n", "",
							    "<domain/>\n", "\r\n\t\x01"};
	struct conf_archive archive = {0}, found = {0};
	_cleanup_free_ uint8_t *packed = NULL, *again = NULL;
	_cleanup_free_ char *large = malloc(CONF_TEXT_MAX + 1);
	char cause[CONF_CAUSE_SIZE];
	size_t size, again_size;

	for (unsigned i = 0; i < CONF_ENTRY_COUNT; i++)
		if (texts[i][0]) /* what was not set is empty */
			set(&archive, (enum conf_entry)i, texts[i]);
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	assert_int_equal(size % CONF_TAR_BLOCK, 0);
	assert_int_equal(conf_archive_unpack(packed, size, &found, cause), 0);
	for (size_t i = 0; i < CONF_ENTRY_COUNT; i++)
		assert_string_equal(found.texts[i].text, texts[i]);
	assert_int_equal(conf_archive_pack(&found, &again, &again_size), 0);
	assert_int_equal(again_size, size);
	assert_memory_equal(again, packed, size);
	conf_archive_done(&found);

	assert_non_null(large);
	memset(large, 'l', CONF_TEXT_MAX + 1);
	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_VM, large, CONF_TEXT_MAX + 1), -EFBIG);
	assert_int_equal(conf_archive_set(&archive, CONF_ENTRY_VM, "a\0b", 3), -EINVAL);
	assert_string_equal(archive.texts[CONF_ENTRY_VM].text, texts[CONF_ENTRY_VM]);
	for (unsigned i = 0; i < CONF_ENTRY_COUNT; i++)
		assert_int_equal(conf_archive_set(&archive, (enum conf_entry)i, large, CONF_TEXT_MAX), 0);
	free(TAKE_PTR(packed));
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	assert_int_equal(size, CONF_ARCHIVE_MAX);
	assert_int_equal(conf_archive_unpack(packed, size, &found, cause), 0);
	assert_int_equal(found.texts[CONF_ENTRY_ANSWERS].length, CONF_TEXT_MAX);
	conf_archive_done(&found);
	conf_archive_done(&archive);
	assert_null(archive.texts[0].text);
}

/* What we don't know is not thrown away by writing it anew. */
static void test_others_are_not_lost(void **state)
{
	struct conf_archive found = {0};
	uint8_t *packed = NULL;
	char cause[CONF_CAUSE_SIZE];
	size_t size = 0;

	tar_size = 0;
	add_whole();
	unknown_name();
	add_end();
	assert_int_equal(conf_archive_unpack(tar, tar_size, &found, cause), 0);
	assert_int_equal(conf_archive_pack(&found, &packed, &size), -ENOTSUP);
	assert_null(packed);
	conf_archive_done(&found);
}

static size_t read_recorded(const char *name, uint8_t data[FILE_SIZE_MAX])
{
	char path[512];
	_cleanup_fclose_ FILE *file = NULL;
	size_t size;

	snprintf(path, sizeof(path), "%s/tests/fuzz/conf_archives/%s", getenv("SOURCE_ROOT"), name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("no %s", path);
	size = fread(data, 1, FILE_SIZE_MAX, file);
	return size;
}

static void test_of_other_programs(void **state)
{
	static const struct {
		const char *name, *cause; /* NULL: taken */
		unsigned others;
	} files[] = {
		{"conf-gnu-tar.bin", NULL, 0},
		{"conf-gnu-tar-pax.bin", NULL, 0},
		{"conf-python-gnu.bin", NULL, 0},
		{"conf-python-pax.bin", NULL, 0},
		{"conf-bsdtar.bin", NULL, 0},
		{"conf-old-v7.bin", NULL, 0},
		{"conf-long-name.bin", NULL, 1},
		{"conf-two-others.bin", NULL, 2},
		{"conf-bad-sparse.bin", "fhanswers.conf: not a regular file", 0},
		{"conf-bad-sparse-pax.bin", "fhanswers.conf: not a regular file", 0},
		{"conf-bad-link.bin", "fhanswers.conf: not a regular file", 0},
		{"conf-bad-path.bin", "../../etc/passwd: not the name of an entry", 0},
		{"conf-bad-twice.bin", "version: there twice", 0},
		{"conf-bad-missing.bin", "version: missing", 0},
		{"conf-bad-cut.bin", "entry 3: Truncated", 0},
		{"conf-bad-gzip.bin", "no sound tar", 0},
	};
	static uint8_t data[FILE_SIZE_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t size = read_recorded(files[i].name, data);
		struct conf_archive found = {0};
		char cause[CONF_CAUSE_SIZE];
		int r = conf_archive_unpack(data, size, &found, cause);

		if (r != (files[i].cause ? -EBADMSG : 0) ||
		    (r < 0 && strncmp(cause, files[i].cause, strlen(files[i].cause)) != 0))
			fail_msg("%s: %d, %s", files[i].name, r, cause);
		if (r < 0)
			continue;
		assert_string_equal(found.texts[CONF_ENTRY_VM].text, "vmId=4e5f6071\nmemSize=16384\n");
		assert_string_equal(found.texts[CONF_ENTRY_VERSION].text, "2.4.10\n");
		assert_int_equal(found.others, files[i].others);
		assert_true(conf_archive_begins(data, 8 * CONF_TAR_BLOCK, JUMP));
		conf_archive_done(&found);
	}
}

/* Who reads a tar from the header on passes over what follows, whatever it is. */
static void test_jump(void **state)
{
	const size_t sizes[] = {0, 3584, 1392128, 2784768};
	struct conf_archive found = {0};
	char cause[CONF_CAUSE_SIZE];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		_cleanup_free_ uint8_t *volume = NULL;

		tar_size = 0;
		add_whole();
		add_end();
		volume = malloc(CONF_TAR_BLOCK + sizes[i] + tar_size);
		assert_non_null(volume);
		memset(volume, 0xee, CONF_TAR_BLOCK + sizes[i]);
		assert_int_equal(conf_archive_jump(JUMP, sizes[i], volume), 0);
		memcpy(volume + CONF_TAR_BLOCK + sizes[i], tar, tar_size);
		assert_int_equal(
			conf_archive_unpack(volume, CONF_TAR_BLOCK + sizes[i] + tar_size, &found, cause), 0);
		assert_int_equal(found.others, 1);
		conf_archive_done(&found);
		assert_false(conf_archive_begins(volume, CONF_TAR_BLOCK, JUMP));
		assert_true(conf_archive_begins(volume, CONF_TAR_BLOCK, "another"));
		volume[200] ^= 1;
		assert_false(conf_archive_begins(volume, CONF_TAR_BLOCK, "another"));
	}
	memset(tar, 0, CONF_TAR_BLOCK);
	assert_false(conf_archive_begins(tar, CONF_TAR_BLOCK, JUMP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_others_are_not_lost),
		cmocka_unit_test(test_of_other_programs),
		cmocka_unit_test(test_jump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
