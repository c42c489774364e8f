/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Readings and writings over a volume in memory whose writes are cut, lost, late or refused, and over a real
 * file that tar reads. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "metadata/conf_transfer.h"
#include "util/cleanup.h"

#define SECTOR 512
#define SECTORS (BLOCK_SIZE / SECTOR)
#define WRITES_MAX 32
#define ENDLESS 100000

struct written {
	uint32_t block;
	uint8_t data[BLOCK_SIZE];
};

/* A store whose operations end when the test lets them, and what was written to it. */
static struct {
	struct store store; /* first */
	struct clock_port clock;
	mono_t now;
	uint8_t disk[CONF_VOLUME_BLOCKS * BLOCK_SIZE];
	struct store_op *op;
	unsigned ops, writes;
	unsigned fail_at;	     /* the operation that ends with -EIO */
	unsigned lose_at;	     /* the write that is lost */
	unsigned ms_per_op;	     /* what each takes */
	void (*before)(unsigned op); /* called before operation `op` */
	struct written log[WRITES_MAX];

	struct conf_transfer transfer;
	unsigned ended;
	int error;
} f;

static int op_begin(struct store_op *op)
{
	assert_null(f.op);
	assert_true(f.now < op->deadline);
	f.op = op;
	return 0;
}

static int store_read(struct store *store, enum store_queue queue, uint32_t first, uint32_t count,
		      uint8_t *blocks, struct store_op *op)
{
	assert_true(count > 0 && first + count <= CONF_VOLUME_BLOCKS);
	if (f.before)
		f.before(f.ops);
	memcpy(blocks, f.disk + (size_t)first * BLOCK_SIZE, (size_t)count * BLOCK_SIZE);
	return op_begin(op);
}

static int store_write(struct store *store, enum store_queue queue, uint32_t block, const uint8_t *data,
		       struct store_op *op)
{
	assert_true(block < CONF_VOLUME_BLOCKS && f.writes < WRITES_MAX);
	f.log[f.writes].block = block;
	memcpy(f.log[f.writes].data, data, BLOCK_SIZE);
	if (f.writes != f.lose_at && f.ops != f.fail_at)
		memcpy(f.disk + (size_t)block * BLOCK_SIZE, data, BLOCK_SIZE);
	f.writes++;
	return op_begin(op);
}

static mono_t clock_now(struct clock_port *port)
{
	return f.now;
}

static void done(struct conf_transfer *transfer, int error)
{
	assert_ptr_equal(transfer, &f.transfer);
	f.ended++;
	f.error = error;
}

/* To the end of the transfer under way. */
static int finish(void)
{
	while (f.ended == 0) {
		struct store_op *op = TAKE_PTR(f.op);

		assert_non_null(op);
		f.now += f.ms_per_op;
		op->done(op, f.ops++ == f.fail_at ? -EIO : 0);
	}
	assert_int_equal(f.ended, 1);
	assert_null(f.op);
	assert_null(f.transfer.packed);
	assert_null(f.transfer.blocks);
	return f.error;
}

static void begin(void)
{
	f.ended = f.ops = f.writes = 0;
	f.transfer.deadline = f.now + 1000;
}

static int read_volume(void)
{
	begin();
	assert_int_equal(conf_read(&f.transfer), 0);
	return finish();
}

/* An archive that tells its number, of more than a block. */
static void make_archive(unsigned number, struct conf_archive *ret)
{
	char text[2 * BLOCK_SIZE];

	memset(text, 'a' + (int)number % 26, sizeof(text));
	*ret = (struct conf_archive){0};
	assert_int_equal(conf_archive_set(ret, CONF_ENTRY_VM, text, 3000 + 700 * (number % 3)), 0);
	snprintf(text, sizeof(text), "%u", number);
	assert_int_equal(conf_archive_set(ret, CONF_ENTRY_VERSION, text, strlen(text)), 0);
}

static int write_volume(unsigned number, const struct conf_place *expected)
{
	struct conf_archive archive;
	int r;

	make_archive(number, &archive);
	begin();
	r = conf_write(&f.transfer, &archive, expected);
	conf_archive_done(&archive);
	assert_int_equal(r, 0);
	return finish();
}

/* The number of a whole archive, and nothing else than such. */
static unsigned number_of(const struct conf_archive *found)
{
	const char *version = found->texts[CONF_ENTRY_VERSION].text;
	unsigned number = (unsigned)strtoul(version, NULL, 10);
	struct conf_archive want;

	make_archive(number, &want);
	assert_string_equal(found->texts[CONF_ENTRY_VERSION].text, want.texts[CONF_ENTRY_VERSION].text);
	assert_string_equal(found->texts[CONF_ENTRY_VM].text, want.texts[CONF_ENTRY_VM].text);
	conf_archive_done(&want);
	return number;
}

static unsigned number_read(void)
{
	int r = read_volume();

	if (r != 0)
		fail_msg("not read: %d, %s", r, f.transfer.cause);
	return number_of(&f.transfer.archive);
}

/* What a tar that reads the volume from its begin finds. 0: nothing. */
static unsigned number_by_tar(void)
{
	struct conf_archive found;
	char cause[CONF_CAUSE_SIZE];
	unsigned number;

	if (conf_archive_unpack(f.disk, sizeof(f.disk), &found, cause) < 0)
		return 0;
	number = number_of(&found);
	conf_archive_done(&found);
	return number;
}

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.store = (struct store){.read = store_read, .write = store_write};
	f.clock.now = clock_now;
	f.fail_at = f.lose_at = ENDLESS;
	f.transfer = (struct conf_transfer){.done = done, .store = &f.store, .clock = &f.clock};
	return 0;
}

static int teardown(void **state)
{
	conf_transfer_done(&f.transfer);
	return 0;
}

static void put_plain(unsigned number)
{
	_cleanup_free_ uint8_t *packed = NULL;
	struct conf_archive archive;
	size_t size;

	make_archive(number, &archive);
	assert_int_equal(conf_archive_pack(&archive, &packed, &size), 0);
	memcpy(f.disk, packed, size);
	conf_archive_done(&archive);
}

static void test_generations(void **state)
{
	static const struct conf_place never;

	assert_int_equal(read_volume(), -ENODATA);
	assert_int_equal(write_volume(1, &never), 0);
	assert_int_equal(f.transfer.place.generation, 1);
	assert_int_equal(number_of(&f.transfer.archive), 1); /* as it was read back */
	for (unsigned i = 2; i < 9; i++) {
		uint32_t slot = f.transfer.place.first;

		assert_int_equal(write_volume(i, &f.transfer.place), 0);
		assert_int_equal(f.transfer.place.generation, i);
		assert_int_not_equal(f.transfer.place.first, slot);
		assert_int_equal(number_read(), i);
		assert_int_equal(number_by_tar(), i);
		assert_string_equal(f.transfer.cause, "");
	}
}

/* The archive that was found may be changed and written. */
static void test_change_what_was_found(void **state)
{
	assert_int_equal(write_volume(1, NULL), 0);
	assert_int_equal(conf_archive_set(&f.transfer.archive, CONF_ENTRY_BROKER, "[email]\n", 8), 0);
	begin();
	assert_int_equal(conf_write(&f.transfer, &f.transfer.archive, &f.transfer.place), 0);
	assert_int_equal(finish(), 0);
	assert_int_equal(number_read(), 1);
	assert_string_equal(f.transfer.archive.texts[CONF_ENTRY_BROKER].text, "[email]\n");
	assert_int_equal(f.transfer.place.generation, 2);
}

static void from_empty(void)
{
}

static void from_older_version(void)
{
	put_plain(1);
}

static void from_first(void)
{
	write_volume(1, NULL);
}

static void from_fourth(void)
{
	for (unsigned i = 0; i < 4; i++)
		write_volume(1, NULL);
}

static void from_spare_only(void)
{
	from_fourth();
	memset(f.disk + 300, 0x5a, 300); /* a torn first head */
}

static void from_first_only(void)
{
	from_fourth();
	memset(f.disk + CONF_SPARE_BLOCK * BLOCK_SIZE + 300, 0x5a, 300);
}

static void from_unswitched(void)
{
	uint8_t head[BLOCK_SIZE];

	from_fourth();
	memcpy(head, f.disk, sizeof(head));
	write_volume(1, NULL);
	memcpy(f.disk, head, sizeof(head));
}

static void from_overwritten_by_older(void)
{
	from_fourth();
	put_plain(1);
}

static void from_older_cut(void)
{
	from_fourth();
	put_plain(3);
	memset(f.disk + 2000, 0xff, 600);
}

static const struct before {
	const char *name;
	void (*make)(void);
	bool whole;  /* there is an old generation */
	bool by_tar; /* and a plain tar finds it */
} befores[] = {
	{"empty volume", from_empty, false, false},
	{"archive of an older version", from_older_version, true, true},
	{"first generation", from_first, true, true},
	{"fourth generation", from_fourth, true, true},
	{"first head torn", from_spare_only, true, false},
	{"spare head torn", from_first_only, true, true},
	{"cut before the switch", from_unswitched, true, true},
	{"overwritten by an older version", from_overwritten_by_older, true, true},
	{"cut while an older version wrote", from_older_cut, true, false},
};
#define BEFORES (sizeof(befores) / sizeof(befores[0]))

/* What is to be read at each moment of the writing of archive 2: 1 until it is 2, and 2 from then on. */
static void check_moment(const struct before *before, uint32_t block, size_t at, unsigned *seen)
{
	int r = read_volume();
	unsigned number = r == 0 ? number_of(&f.transfer.archive) : 0;

	if (number == 0 && (before->whole || (r != -ENODATA && r != -EBADMSG)))
		fail_msg("%s, block %u at %zu: %d, %s", before->name, block, at, r, f.transfer.cause);
	if (number > 2 || number < *seen)
		fail_msg("%s, block %u at %zu: %u after %u", before->name, block, at, number, *seen);
	*seen = number;
}

/* Lets `before` be, and writes archive 2. Afterwards the disk is as before and the log has what is written.
 */
static unsigned record_writing(const struct before *before)
{
	static uint8_t old[sizeof(f.disk)];
	unsigned writes;

	memset(f.disk, 0, sizeof(f.disk));
	before->make();
	if (before->whole)
		assert_int_equal(number_read(), 1);
	memcpy(old, f.disk, sizeof(old));
	assert_int_equal(write_volume(2, NULL), 0);
	assert_int_equal(number_by_tar(), 2);
	writes = f.writes;
	memcpy(f.disk, old, sizeof(old));
	return writes;
}

/* Every byte where heads have contents or end, every sector, and some within. */
static bool is_cut(uint32_t block, size_t at)
{
	bool head = block == CONF_FIRST_BLOCK || block == CONF_SPARE_BLOCK;

	return (head && at <= 700) || at % SECTOR == 0 || at % 97 == 0;
}

static void test_cut_at_every_byte(void **state)
{
	for (size_t i = 0; i < BEFORES; i++) {
		unsigned writes = record_writing(&befores[i]), seen = 0;
		static struct written log[WRITES_MAX];

		memcpy(log, f.log, sizeof(log));
		assert_true(writes >= 4);
		for (unsigned j = 0; j < writes; j++) {
			uint8_t *block = f.disk + (size_t)log[j].block * BLOCK_SIZE;

			for (size_t at = 0; at < BLOCK_SIZE; at++) {
				if (is_cut(log[j].block, at))
					check_moment(&befores[i], log[j].block, at, &seen);
				block[at] = log[j].data[at];
			}
			check_moment(&befores[i], log[j].block, BLOCK_SIZE, &seen);
		}
		assert_int_equal(seen, 2);
	}
}

/* Sectors of one block may come on the disk in any order. The plain tar that others read switches with one.
 */
static void test_any_sectors_of_a_block(void **state)
{
	for (size_t i = 0; i < BEFORES; i++) {
		unsigned writes = record_writing(&befores[i]);
		static struct written log[WRITES_MAX];

		memcpy(log, f.log, sizeof(log));
		for (unsigned j = 0; j < writes; j++) {
			uint8_t *block = f.disk + (size_t)log[j].block * BLOCK_SIZE, old[BLOCK_SIZE];

			memcpy(old, block, sizeof(old));
			for (unsigned mask = 0; mask < 1u << SECTORS; mask++) {
				unsigned seen = 0;

				for (size_t k = 0; k < SECTORS; k++)
					memcpy(block + k * SECTOR,
					       (mask >> k & 1 ? log[j].data : old) + k * SECTOR, SECTOR);
				check_moment(&befores[i], log[j].block, mask, &seen);
				if (befores[i].by_tar && number_by_tar() == 0)
					fail_msg("%s, block %u, sectors %x: no tar", befores[i].name,
						 log[j].block, mask);
			}
			memcpy(block, log[j].data, sizeof(old));
		}
	}
}

/* A power cut in a writing, and one in the writing after that, and so on. */
static void test_cut_again_and_again(void **state)
{
	unsigned last = 1, switched = 0;

	write_volume(1, NULL);
	srandom(1);
	for (unsigned i = 2; i < 2000; i++) {
		static uint8_t old[sizeof(f.disk)];
		static struct written log[WRITES_MAX];
		unsigned writes, cut, number;

		memcpy(old, f.disk, sizeof(old));
		assert_int_equal(write_volume(i, NULL), 0);
		writes = f.writes;
		memcpy(log, f.log, sizeof(log));
		memcpy(f.disk, old, sizeof(old));
		cut = (unsigned)random() % writes;
		for (unsigned j = 0; j < cut; j++)
			memcpy(f.disk + (size_t)log[j].block * BLOCK_SIZE, log[j].data, BLOCK_SIZE);
		for (size_t k = 0; k < SECTORS; k++)
			if (random() % 2)
				memcpy(f.disk + (size_t)log[cut].block * BLOCK_SIZE + k * SECTOR,
				       log[cut].data + k * SECTOR, SECTOR);
		number = number_read();
		assert_true(number == last || number == i);
		switched += number == i;
		last = number;
	}
	assert_true(switched > 100 && switched < 1900);
}

/* A write of a head that was given up lands after others have written. */
static void test_late_head(void **state)
{
	for (unsigned which = 0; which < 2; which++) {
		for (unsigned later = 1; later < 4; later++) {
			static struct written late;

			memset(f.disk, 0, sizeof(f.disk));
			assert_int_equal(write_volume(1, NULL), 0);
			f.lose_at =
				3 + which; /* behind the archive's blocks the spare head, the first head */
			assert_int_equal(write_volume(20, NULL), 0);
			f.lose_at = ENDLESS;
			late = f.log[3 + which];
			for (unsigned i = 0; i < later; i++)
				assert_int_equal(write_volume(2 + i, NULL), 0);
			memcpy(f.disk + (size_t)late.block * BLOCK_SIZE, late.data, BLOCK_SIZE);
			assert_int_equal(number_read(), 1 + later);
			assert_int_equal(write_volume(9, &f.transfer.place), 0);
			assert_int_equal(number_by_tar(), 9);
		}
	}
}

static void test_failed_operations(void **state)
{
	for (unsigned at = 0;; at++) {
		unsigned number;

		memset(f.disk, 0, sizeof(f.disk));
		f.fail_at = ENDLESS;
		assert_int_equal(write_volume(1, NULL), 0);
		f.fail_at = at;
		if (write_volume(2, NULL) == 0) {
			assert_int_equal(at, f.ops);
			assert_true(at > 8);
			break;
		}
		assert_int_equal(f.error, -EIO);
		assert_int_equal(f.ops, at + 1); /* nothing after it */
		f.fail_at = ENDLESS;
		number = number_read();
		assert_true(number == 1 || number == 2);
	}
	for (unsigned at = 0; at < 3; at++) {
		f.fail_at = at;
		assert_int_equal(read_volume(), -EIO);
	}
}

static void test_deadline(void **state)
{
	struct conf_archive archive;

	assert_int_equal(write_volume(1, NULL), 0);
	for (unsigned after = 1; after < 9; after++) {
		f.ms_per_op = 1000 / after;
		assert_int_equal(write_volume(2, NULL), -ETIMEDOUT);
		assert_in_range(f.ops, after, after + 1); /* and op_begin() saw none after it */
		f.ms_per_op = 0;
		assert_in_range(number_read(), 1, 2);
	}
	make_archive(3, &archive);
	begin();
	f.transfer.deadline = f.now;
	assert_int_equal(conf_read(&f.transfer), -ETIMEDOUT);
	assert_int_equal(conf_write(&f.transfer, &archive, NULL), -ETIMEDOUT);
	assert_int_equal(f.ended, 0);
	assert_null(f.transfer.packed);
	conf_archive_done(&archive);
}

static void test_somebody_else_wrote(void **state)
{
	struct conf_place place = {0};

	put_plain(5);
	assert_int_equal(write_volume(6, &place), -ESTALE); /* not empty */
	assert_int_equal(f.writes, 0);
	assert_int_equal(number_read(), 5);
	place = f.transfer.place;
	put_plain(4);
	assert_int_equal(write_volume(6, &place), -ESTALE);
	assert_int_equal(number_read(), 4);
	place = f.transfer.place;
	assert_int_equal(write_volume(6, &place), 0);
	assert_int_equal(write_volume(7, &place), -ESTALE);
	assert_int_equal(f.writes, 0);
	assert_int_equal(number_read(), 6);
}

static void test_lost_writes(void **state)
{
	/* The archive's blocks: it doesn't read back. One head: the other tells. */
	static const int errors[] = {-EIO, -EIO, -EIO, 0, 0};

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		memset(f.disk, 0x42, sizeof(f.disk));
		assert_int_equal(write_volume(1, NULL), 0);
		f.lose_at = i;
		assert_int_equal(write_volume(2, NULL), errors[i]);
		assert_int_equal(f.writes, 5);
		f.lose_at = ENDLESS;
	}
}

static void other_done(struct conf_transfer *transfer, int error)
{
	assert_int_equal(error, 0);
	transfer->store = NULL;
}

/* Between the heads and the archive others write so often that the slot is another's. */
static void overtake(unsigned op)
{
	if (op != 2)
		return;
	f.before = NULL;
	for (unsigned i = 3; i < 6; i++) {
		struct conf_transfer other = {
			.done = other_done, .store = &f.store, .clock = &f.clock, .deadline = f.now + 1000};
		struct conf_archive archive;

		make_archive(i, &archive);
		f.writes = 0;
		assert_int_equal(conf_write(&other, &archive, NULL), 0);
		while (other.store) {
			struct store_op *now = TAKE_PTR(f.op);

			now->done(now, 0);
		}
		conf_transfer_done(&other);
		conf_archive_done(&archive);
	}
}

static void test_overtaken_reader(void **state)
{
	assert_int_equal(write_volume(1, NULL), 0);
	f.before = overtake;
	assert_int_equal(number_read(), 5);
	assert_null(f.before);
	assert_int_equal(f.ops, 6); /* its second try */
	assert_string_equal(f.transfer.cause, "");
}

static void test_damage(void **state)
{
	static const struct conf_place never;

	/* Another one's volume. */
	memset(f.disk, 0x42, sizeof(f.disk));
	assert_int_equal(read_volume(), -EBADMSG);
	assert_string_equal(f.transfer.cause, "neither a head nor an archive");
	assert_int_equal(write_volume(1, &never), -EBADMSG);
	assert_int_equal(f.writes, 0);
	/* By an operator's command. */
	assert_int_equal(write_volume(1, NULL), 0);
	assert_int_equal(number_read(), 1);
	/* A rotten archive. */
	f.disk[f.transfer.place.first * BLOCK_SIZE + 600] ^= 1;
	assert_int_equal(read_volume(), -EBADMSG);
	assert_string_equal(f.transfer.cause, "generation 1: bad CRC");
	assert_int_equal(write_volume(2, &f.transfer.place), -EBADMSG);
	assert_int_equal(write_volume(2, NULL), 0);
	assert_int_equal(f.transfer.place.generation, 2);
	f.disk[f.transfer.place.first * BLOCK_SIZE + 600] ^= 1;
	assert_int_equal(read_volume(), -EBADMSG);
	/* A plain archive that lacks something. */
	memset(f.disk, 0, sizeof(f.disk));
	assert_int_equal(read_volume(), -ENODATA);
	assert_string_equal(f.transfer.cause, "");
	put_plain(1);
	memset(f.disk + 1024, 0, 8192);
	assert_int_equal(read_volume(), -EBADMSG);
	assert_string_equal(f.transfer.cause, "hosted-engine.conf: missing");
}

/* The real store, and real tars on the other side. */
static struct loop *loop;

static void stop(struct conf_transfer *transfer, int error)
{
	f.error = error;
	loop_stop(loop);
}

static int run_tar(const char *format, const char *directory, char ret[2 * BLOCK_SIZE])
{
	char command[512];
	_cleanup_free_ char *here = realpath(directory, NULL);
	FILE *pipe;
	size_t size;

	snprintf(command, sizeof(command), "cd '%s' && ", here);
	strncat(command, format, sizeof(command) - strlen(command) - 1);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	size = fread(ret, 1, 2 * BLOCK_SIZE - 1, pipe);
	ret[size] = '\0';
	return pclose(pipe);
}

static void test_real_file(void **state)
{
	char directory[] = "test_conf_transfer.XXXXXX", spec[512], out[2 * BLOCK_SIZE];
	struct conf_transfer transfer = {.done = stop};
	struct conf_archive archive;

	assert_non_null(mkdtemp(directory));
	_cleanup_free_ char *here = realpath(directory, NULL);
	assert_int_equal(loop_new(&loop), 0);
	snprintf(spec, sizeof(spec), "%s/volume", here);
	assert_int_equal(store_path_new(spec, loop, &transfer.store), 0);
	transfer.clock = loop_clock(loop);
	transfer.deadline = transfer.clock->now(transfer.clock) + 30000;

	assert_int_equal(conf_read(&transfer), 0);
	loop_run(loop);
	assert_int_equal(f.error, -ENOENT);
	assert_int_equal(
		run_tar("for f in version hosted-engine.conf broker.conf vm.conf fhanswers.conf; do echo of "
			"$f >$f; done; "
			"tar -cf volume version hosted-engine.conf broker.conf vm.conf fhanswers.conf",
			directory, out),
		0);
	assert_int_equal(conf_read(&transfer), 0);
	loop_run(loop);
	assert_int_equal(f.error, 0);
	assert_int_equal(transfer.place.generation, 0);
	assert_string_equal(transfer.archive.texts[CONF_ENTRY_BROKER].text, "of broker.conf\n");

	make_archive(2, &archive);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(conf_write(&transfer, &archive, &transfer.place), 0);
		loop_run(loop);
		assert_int_equal(f.error, 0);
		assert_int_equal(transfer.place.generation, i);
		assert_int_equal(run_tar("dd if=volume bs=4k status=none | tar -tf -", directory, out), 0);
		assert_string_equal(out, "generation\nversion\nhosted-engine.conf\nbroker.conf\nvm.conf\n"
					 "fhanswers.conf\n");
		assert_int_equal(run_tar("tar -xOf volume vm.conf", directory, out), 0);
		assert_string_equal(out, archive.texts[CONF_ENTRY_VM].text);
	}
	conf_archive_done(&archive);
	transfer.store->close(transfer.store);
	conf_transfer_done(&transfer);
	loop_free(loop);
	assert_int_equal(run_tar("rm version *.conf volume", directory, out), 0);
	assert_int_equal(rmdir(directory), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_generations),		TEST(test_change_what_was_found),
		TEST(test_cut_at_every_byte),	TEST(test_any_sectors_of_a_block),
		TEST(test_cut_again_and_again), TEST(test_late_head),
		TEST(test_failed_operations),	TEST(test_deadline),
		TEST(test_somebody_else_wrote), TEST(test_lost_writes),
		TEST(test_overtaken_reader),	TEST(test_damage),
		TEST(test_real_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
