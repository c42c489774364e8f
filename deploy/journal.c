/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of KEY=VALUE lines, replaced at each change. It knows nothing of stages. */
#include "deploy/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/file_replace.h"
#include "util/keyfile.h"

struct journal {
	char *path;
	struct keyfile *file;
};

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	keyfile_free(journal->file);
	free(journal->path);
	free(journal);
}

int journal_open(const char *path, struct problems *problems, struct journal **ret)
{
	_cleanup_(journal_free_p) struct journal *journal = calloc(1, sizeof(*journal));
	int r = -ENOMEM;

	if (journal)
		journal->path = strdup(path);
	if (journal && journal->path)
		r = keyfile_load(path, false, &journal->file, problems);
	if (r == -ENOENT)
		r = keyfile_new(path, false, &journal->file);
	if (r == 0)
		*ret = TAKE_PTR(journal);
	return r;
}

const char *journal_get(const struct journal *journal, const char *key)
{
	return keyfile_get(journal->file, "", key);
}

bool journal_empty(const struct journal *journal)
{
	return !keyfile_entry(journal->file, 0, NULL, NULL, NULL, NULL);
}

int journal_set(struct journal *journal, const char *key, const char *value)
{
	_cleanup_free_ char *text = NULL, *old = NULL;
	const char *before = journal_get(journal, key);
	size_t size;
	int r;

	if (before && value && strcmp(before, value) == 0)
		return 0;
	if (before && !(old = strdup(before)))
		return -ENOMEM;
	r = keyfile_set(journal->file, "", key, value);
	if (r < 0)
		return r;
	r = keyfile_format(journal->file, &text, &size);
	if (r == 0)
		r = file_replace_private(journal->path, text, size);
	if (r < 0)
		(void)keyfile_set(journal->file, "", key, old); /* in memory as on disk */
	return r;
}

int journal_remove(struct journal *journal)
{
	return unlink(journal->path) < 0 && errno != ENOENT ? -errno : 0;
}
