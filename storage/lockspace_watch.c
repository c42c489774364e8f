/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the sectors of host ids and the engine's lease over a time. Decides how long: a damaged sector
 * says nothing of its host, so all that counts is that nobody writes it. May not write. Called by
 * lockspace_reset.c and the commands. */
#include "storage/lockspace_watch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lockspace/lease_leader.h"
#include "util/direct_read.h"
#include "util/cleanup.h"

#define LEASE_BYTES 4096 /* its record lies in the first sector */
#define SEARCHED ((size_t)64 * 1024)
/* sanlock renews every 2 x io_timeout. An id that is free on storage, and that somebody has all the same, is
 * one whose sector was overwritten: its next renewal, or the one after that, shows it. */
#define FREE_TIMEOUTS 4
_Static_assert(WATCH_WHY_SIZE >= 256, "a path's end fits");

struct lockspace_watch {
	struct watch_request request;
	unsigned sector_size;
	bool lease_sound;
	int64_t watch_ms;
	mono_t begun; /* MONO_UNSET: not looked at yet */
	int failed;
	uint8_t lease[LEASE_BYTES];
	size_t size; /* bytes of all host ids */
	uint8_t *first, *again;
};

static int refuse(int error, char why[WATCH_WHY_SIZE], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(int error, char why[WATCH_WHY_SIZE], const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(why, WATCH_WHY_SIZE, format, list);
	va_end(list);
	return error;
}

static int read_at(const char *path, uint64_t offset, size_t size, uint8_t *ret, char why[WATCH_WHY_SIZE])
{
	int r = direct_read(path, offset, size, ret);

	if (r == -EBADMSG)
		return refuse(r, why, "%.180s is too short for what it has to hold", path);
	return r < 0 ? refuse(r, why, "%.180s: %s", path, strerror(-r)) : 0;
}

static int read_lease(struct lockspace_watch *watch, uint8_t ret[LEASE_BYTES], char why[WATCH_WHY_SIZE])
{
	_cleanup_free_ uint8_t *bytes = aligned_alloc(LEASE_BYTES, LEASE_BYTES);
	int r = bytes ? read_at(watch->request.lease_path, watch->request.lease_offset, LEASE_BYTES, bytes,
				why)
		      : -ENOMEM;

	if (r == 0)
		memcpy(ret, bytes, LEASE_BYTES);
	return r;
}

static int read_ids(struct lockspace_watch *watch, uint8_t *ret, char why[WATCH_WHY_SIZE])
{
	return read_at(watch->request.lockspace_path, watch->request.lockspace_offset, watch->size, ret, why);
}

static const uint8_t *sector_of(const struct lockspace_watch *watch, const uint8_t *ids, unsigned id)
{
	return ids + (size_t)(id - 1) * watch->sector_size;
}

static bool is_watched(const struct lockspace_watch *watch, unsigned id)
{
	return watch->request.only == 0 || watch->request.only == id;
}

static bool all_free(const struct lockspace_watch *watch)
{
	struct leader leader;

	leader_decode(watch->lease, &leader);
	if (watch->request.only == 0 && (leader.kind != LEADER_RESOURCE || !leader.free))
		return false;
	for (unsigned id = 1; id <= HOST_ID_MAX; id++) {
		if (!is_watched(watch, id))
			continue;
		leader_decode(sector_of(watch, watch->first, id), &leader);
		if (leader.kind != LEADER_HOST_ID || !leader.free)
			return false;
	}
	return true;
}

/* The longest that anybody lives by. sanlock judges a host by what it wrote, too, and the configuration may
 * have been changed since. */
static struct lease_timing slowest(const struct lockspace_watch *watch)
{
	struct lease_timing timing = watch->request.timing;
	struct leader leader;

	for (unsigned id = 1; id <= HOST_ID_MAX; id++) {
		leader_decode(sector_of(watch, watch->first, id), &leader);
		if (is_watched(watch, id) && leader.kind == LEADER_HOST_ID &&
		    leader.io_timeout_s > timing.io_timeout_s)
			timing.io_timeout_s = leader.io_timeout_s;
	}
	return timing;
}

/* Of the first sector of a host id that is sound. */
static void find_id(const uint8_t *ids, struct leader *ret)
{
	for (size_t at = 0; at < SEARCHED; at += 512) {
		leader_decode(ids + at, ret);
		if (ret->kind == LEADER_HOST_ID && at % ret->sector_size == 0)
			return;
	}
	*ret = (struct leader){0};
}

/* The lease of a VM that runs does not change: another cluster's, named by a wrong path, would pass. What is
 * no lease has no name. */
static int check_name(const struct lockspace_watch *watch, const struct leader *leader, const char *path,
		      char why[WATCH_WHY_SIZE])
{
	const char *name = watch->request.lockspace;

	if (!name || leader->kind == LEADER_NONE || strcmp(leader->lockspace, name) == 0)
		return 0;
	return refuse(-EXDEV, why,
		      "%.100s is not of the lockspace %.48s: correct the paths in hosted-engine.conf", path,
		      name);
}

/* Whatever is left of the engine's lease and the lockspace tells what both were made with. */
static int find_shape(struct lockspace_watch *watch, char why[WATCH_WHY_SIZE])
{
	_cleanup_free_ uint8_t *ids = aligned_alloc(LEASE_BYTES, SEARCHED);
	struct leader leader, id;
	int r = ids ? read_at(watch->request.lockspace_path, watch->request.lockspace_offset, SEARCHED, ids,
			      why)
		    : -ENOMEM;

	if (r == 0)
		r = read_lease(watch, watch->lease, why);
	if (r < 0)
		return r;
	leader_decode(watch->lease, &leader);
	watch->lease_sound = leader.kind == LEADER_RESOURCE;
	find_id(ids, &id);
	r = check_name(watch, &leader, watch->request.lease_path, why);
	if (r == 0)
		r = check_name(watch, &id, watch->request.lockspace_path, why);
	if (r < 0)
		return r;
	if (!watch->lease_sound)
		leader = id;
	if (leader.kind == LEADER_NONE)
		return refuse(
			-EBADMSG, why,
			"neither the lockspace nor the engine's lease can be understood: nothing tells what "
			"they were made with; format the storage domain anew");
	if (leader.alignment != (leader.sector_size == 512 ? UINT64_C(1) << 20 : UINT64_C(8) << 20))
		return refuse(-EOPNOTSUPP, why,
			      "the leases lie %" PRIu64 " MiB apart, which is not what a deployment makes",
			      leader.alignment >> 20);
	watch->sector_size = leader.sector_size;
	return 0;
}

int lockspace_watch_new(const struct watch_request *request, struct lockspace_watch **ret,
			char why[WATCH_WHY_SIZE])
{
	struct lockspace_watch *watch = calloc(1, sizeof(*watch));
	struct lease_timing timing;
	int r = -ENOMEM;

	assert(request->only <= HOST_ID_MAX);
	why[0] = '\0';
	if (watch) {
		watch->request = *request;
		watch->begun = MONO_UNSET;
		r = find_shape(watch, why);
	}
	if (r == 0) {
		watch->size = (size_t)HOST_ID_MAX * watch->sector_size;
		watch->first = aligned_alloc(LEASE_BYTES, watch->size);
		watch->again = aligned_alloc(LEASE_BYTES, watch->size);
		r = watch->first && watch->again ? read_ids(watch, watch->first, why) : -ENOMEM;
	}
	if (r < 0) {
		if (!why[0])
			refuse(r, why, "%s", strerror(-r));
		lockspace_watch_free(watch);
		return r;
	}
	timing = slowest(watch);
	watch->watch_ms = all_free(watch) ? FREE_TIMEOUTS * (int64_t)timing.io_timeout_s * MONO_SECOND
					  : lease_dead_ms(&timing);
	*ret = watch;
	return 0;
}

void lockspace_watch_free(struct lockspace_watch *watch)
{
	if (!watch)
		return;
	free(watch->first);
	free(watch->again);
	free(watch);
}

int64_t lockspace_watch_ms(const struct lockspace_watch *watch)
{
	return watch->watch_ms;
}

static int compare(struct lockspace_watch *watch, char why[WATCH_WHY_SIZE])
{
	uint8_t lease[LEASE_BYTES];
	int r = read_ids(watch, watch->again, why);

	for (unsigned id = 1; r == 0 && id <= HOST_ID_MAX; id++)
		if (is_watched(watch, id) &&
		    memcmp(sector_of(watch, watch->first, id), sector_of(watch, watch->again, id),
			   watch->sector_size) != 0)
			r = refuse(-EBUSY, why,
				   "host id %u is in use: stop ovirt-ha-agent and ovirt-ha-broker on that "
				   "host, or "
				   "switch it off",
				   id);
	if (r == 0 && watch->request.only == 0) {
		r = read_lease(watch, lease, why);
		if (r == 0 && memcmp(lease, watch->lease, watch->sector_size) != 0)
			r = refuse(-EBUSY, why,
				   "the engine's lease is in use: stop the engine VM where it runs");
	}
	return r;
}

int lockspace_watch_look(struct lockspace_watch *watch, mono_t now, char why[WATCH_WHY_SIZE])
{
	why[0] = '\0';
	if (watch->begun == MONO_UNSET)
		watch->begun = now;
	if (watch->failed == 0)
		watch->failed = compare(watch, why);
	if (watch->failed < 0)
		return watch->failed;
	return mono_passed(watch->begun, watch->watch_ms, now);
}

unsigned lockspace_watch_sector(const struct lockspace_watch *watch)
{
	return watch->sector_size;
}

bool lockspace_watch_lease_sound(const struct lockspace_watch *watch)
{
	return watch->lease_sound;
}
