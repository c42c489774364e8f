/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The folder of transitions that wait for the operator. Decides how a file is named and written, and that a
 * damaged one is none; it may not decide what is sent. Called by the agent's spool writer, by
 * ovirt-ha-notify and by hosted-engine --test-alert. */
#include "notify/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/keyfile.h"

#define LEFT_BEHIND_S 60
#define WORD_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

static const char *const kinds[] = {"event", "mail", "test", "result"};

_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == SPOOL_KIND_COUNT, "a kind without a word");

CLEANUP_DEFINE(DIR *, closedir)

void alert_detail(const struct alert *transition, char ret[ALERT_DETAIL_MAX])
{
	snprintf(ret, ALERT_DETAIL_MAX, "%s-%s", transition->from, transition->to);
}

static void name_entry(struct spool_entry *entry)
{
	snprintf(entry->name, sizeof(entry->name), "%020" PRIu64 ".%s", entry->sequence, kinds[entry->kind]);
}

static int path_of(const char *folder, const char *name, char ret[PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static bool parse_name(const char *name, struct spool_entry *ret)
{
	const char *dot = strchr(name, '.');
	struct spool_entry entry;
	char *end;

	if (dot != name + 20 || strspn(name, "0123456789") != 20)
		return false;
	errno = 0;
	entry.sequence = strtoull(name, &end, 10);
	if (errno)
		return false;
	for (entry.kind = 0; entry.kind < SPOOL_KIND_COUNT; entry.kind++) {
		if (strcmp(dot + 1, kinds[entry.kind]) != 0)
			continue;
		name_entry(&entry);
		*ret = entry;
		return true;
	}
	return false;
}

static int by_sequence(const void *a, const void *b)
{
	const struct spool_entry *left = a, *right = b;

	return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* All of them, in order. */
static int list_all(const char *folder, struct spool_entry **ret, size_t *ret_n)
{
	_cleanup_(closedir_p) DIR *directory = opendir(folder);
	_cleanup_free_ struct spool_entry *entries = NULL;
	size_t n = 0, size = 0;
	struct dirent *seen;

	if (!directory && errno != ENOENT)
		return -errno;
	while (directory && (seen = readdir(directory))) {
		if (n == size) {
			struct spool_entry *more = reallocarray(entries, size + 64, sizeof(*more));

			if (!more)
				return -ENOMEM;
			entries = more;
			size += 64;
		}
		n += parse_name(seen->d_name, &entries[n]);
	}
	if (n > 0)
		qsort(entries, n, sizeof(*entries), by_sequence);
	*ret = TAKE_PTR(entries);
	*ret_n = n;
	return 0;
}

static bool waits(const struct spool_entry *entry)
{
	return entry->kind == SPOOL_EVENT || entry->kind == SPOOL_MAIL;
}

int spool_list(const char *folder, struct spool_entry **ret, size_t *ret_n)
{
	size_t kept = 0, waiting = 0;
	int r = list_all(folder, ret, ret_n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < *ret_n; i++)
		if (!waits(&(*ret)[i]) || waiting++ < SPOOL_MAX)
			(*ret)[kept++] = (*ret)[i];
	*ret_n = kept;
	return 0;
}

static int sync_folder(const char *folder)
{
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Makes room for one more that waits, and finds a sequence that nobody has. */
static int make_room(const char *folder, bool for_one, uint64_t *sequence, size_t *ret_dropped)
{
	_cleanup_free_ struct spool_entry *entries = NULL;
	size_t n, waiting = 0, dropped = 0;
	int r = list_all(folder, &entries, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		waiting += waits(&entries[i]);
		if (entries[i].sequence == *sequence)
			++*sequence; /* they are in order: the next one is compared with the raised one */
	}
	for (size_t i = 0; for_one && i < n && waiting - dropped >= SPOOL_MAX; i++)
		if (waits(&entries[i]) && spool_remove(folder, entries[i].name) == 0)
			dropped++;
	*ret_dropped = dropped;
	return 0;
}

static int set_number(struct keyfile *file, const char *key, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	return keyfile_set(file, "", key, text);
}

int spool_put(const char *folder, enum spool_kind kind, struct alert *transition, size_t *ret_dropped)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct spool_entry entry = {.kind = kind};
	char path[PATH_MAX];
	size_t dropped;
	int r = make_room(folder, waits(&entry), &transition->sequence, &dropped);

	if (r < 0)
		return r;
	entry.sequence = transition->sequence;
	name_entry(&entry);
	r = path_of(folder, entry.name, path);
	if (r == 0)
		r = keyfile_new(entry.name, false, &file);
	if (r == 0)
		r = set_number(file, "time", transition->wall);
	if (r == 0)
		r = keyfile_set(file, "", "host", transition->host);
	if (r == 0)
		r = keyfile_set(file, "", "from", transition->from);
	if (r == 0)
		r = keyfile_set(file, "", "to", transition->to);
	if (r == 0)
		r = keyfile_set(file, "", "reason", transition->reason);
	if (r == 0)
		r = set_number(file, "score", transition->score);
	if (r == 0) /* the last line: what was cut does not have it */
		r = keyfile_set(file, "", "whole", "yes");
	if (r == 0)
		r = keyfile_save(file, path, 0644);
	if (r == 0 && ret_dropped)
		*ret_dropped = dropped;
	return r;
}

static bool take_text(const struct keyfile *file, const char *key, const char *letters, char *ret,
		      size_t size)
{
	const char *value = keyfile_get(file, "", key);

	if (!value || strlen(value) >= size || (letters && value[strspn(value, letters)]))
		return false;
	strcpy(ret, value);
	return true;
}

static bool take_number(const struct keyfile *file, const char *key, int64_t *ret)
{
	const char *value = keyfile_get(file, "", key);
	char *end;

	if (!value || !*value || value[strspn(value, "-0123456789")])
		return false;
	errno = 0;
	*ret = strtoll(value, &end, 10);
	return !errno && !*end;
}

int spool_read(const char *folder, const char *name, struct alert *ret)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct problems quiet = {0};
	struct alert transition;
	struct spool_entry entry;
	char path[PATH_MAX];
	const char *whole;
	int64_t score;
	int r = path_of(folder, name, path);

	if (r < 0)
		return r;
	r = keyfile_load(path, false, &file, &quiet);
	if (r < 0)
		return r == -EINVAL ? -EBADMSG : r;
	whole = keyfile_get(file, "", "whole");
	if (!parse_name(name, &entry) || !whole || strcmp(whole, "yes") != 0 ||
	    !take_number(file, "time", &transition.wall) || !take_number(file, "score", &score) ||
	    score < INT32_MIN || score > INT32_MAX ||
	    !take_text(file, "host", NULL, transition.host, sizeof(transition.host)) ||
	    !take_text(file, "from", WORD_LETTERS, transition.from, sizeof(transition.from)) ||
	    !take_text(file, "to", WORD_LETTERS, transition.to, sizeof(transition.to)) ||
	    !take_text(file, "reason", WORD_LETTERS, transition.reason, sizeof(transition.reason)))
		return -EBADMSG;
	transition.sequence = entry.sequence;
	transition.score = (int32_t)score;
	*ret = transition;
	return 0;
}

int spool_turn(const char *folder, struct spool_entry *entry, enum spool_kind kind)
{
	struct spool_entry turned = {.sequence = entry->sequence, .kind = kind};
	char from[PATH_MAX], to[PATH_MAX];
	int r;

	name_entry(&turned);
	r = path_of(folder, entry->name, from);
	if (r == 0)
		r = path_of(folder, turned.name, to);
	if (r == 0 && rename(from, to) < 0)
		r = -errno;
	if (r == 0)
		r = sync_folder(folder);
	if (r == 0)
		*entry = turned;
	return r;
}

int spool_remove(const char *folder, const char *name)
{
	char path[PATH_MAX];
	int r = path_of(folder, name, path);

	if (r < 0)
		return r;
	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : -errno;
	return sync_folder(folder);
}

void spool_sweep(const char *folder, int64_t wall)
{
	_cleanup_(closedir_p) DIR *directory = opendir(folder);
	struct spool_entry entry;
	struct dirent *seen;
	struct stat st;

	while (directory && (seen = readdir(directory))) {
		if (parse_name(seen->d_name, &entry) && entry.kind != SPOOL_RESULT)
			continue;
		if (fstatat(dirfd(directory), seen->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_mtime + LEFT_BEHIND_S < wall)
			(void)unlinkat(dirfd(directory), seen->d_name, 0);
	}
}

int spool_put_result(const char *folder, const struct spool_entry *test, int error, const char *text)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct spool_entry result = {.sequence = test->sequence, .kind = SPOOL_RESULT};
	char path[PATH_MAX];
	int r;

	name_entry(&result);
	r = path_of(folder, result.name, path);
	if (r == 0)
		r = keyfile_new(result.name, false, &file);
	if (r == 0)
		r = set_number(file, "error", error);
	if (r == 0)
		r = keyfile_set(file, "", "text", text);
	/* Before: whoever sees the result finds no test any more. */
	if (r == 0)
		r = spool_remove(folder, test->name);
	return r < 0 ? r : keyfile_save(file, path, 0644);
}

int spool_take_result(const char *folder, uint64_t sequence, int *ret_error, char *ret_text, size_t size)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct spool_entry result = {.sequence = sequence, .kind = SPOOL_RESULT};
	struct problems quiet = {0};
	char path[PATH_MAX];
	const char *text;
	int64_t error;
	int r;

	name_entry(&result);
	r = path_of(folder, result.name, path);
	if (r == 0)
		r = keyfile_load(path, false, &file, &quiet);
	if (r < 0)
		return r;
	text = keyfile_get(file, "", "text");
	if (!text || !take_number(file, "error", &error) || error > 0 || error < -4095)
		return -EBADMSG;
	*ret_error = (int)error;
	snprintf(ret_text, size, "%s", text);
	return spool_remove(folder, result.name);
}
