/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transitions of the state machine on their way to the operator: one small file each in a folder of this
 * host, so that they outlast the agent, the sender and the host. The agent puts them there, hosted-engine
 * puts test alerts there, ovirt-ha-notify takes them out. A file has its name only when it is whole and
 * durable. All functions block on the disk. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_MAX 1000 /* transitions: the oldest goes when one more comes */
#define SPOOL_NAME_MAX 64

struct alert {		   /* a transition on its way to the operator, who may not want to hear of it */
	uint64_t sequence; /* rises; the order of the transitions of this host */
	int64_t wall;	   /* seconds since the epoch */
	char host[256];
	char from[32], to[32]; /* names of states; letters, digits, - and _ */
	char reason[64];       /* the same letters */
	int32_t score;
};

/* The last part of the file's name. */
enum spool_kind {
	SPOOL_EVENT,  /* nobody has looked at it */
	SPOOL_MAIL,   /* to be mailed; the command has been run, if there is one */
	SPOOL_TEST,   /* a test alert: tried once, at once */
	SPOOL_RESULT, /* what became of a test alert */
	SPOOL_KIND_COUNT
};

struct spool_entry {
	char name[SPOOL_NAME_MAX];
	uint64_t sequence;
	enum spool_kind kind;
};

/* Makes the file SEQUENCE.KIND; a sequence that is taken is raised, in *transition too. When SPOOL_MAX
 * transitions wait, the oldest are removed, and *ret_dropped (may be NULL) is their number. 0 or -errno. */
int spool_put(const char *folder, enum spool_kind kind, struct alert *transition, size_t *ret_dropped);
/* The whole entries by rising sequence: all tests and results, and the first SPOOL_MAX that wait; free()
 * *ret. A folder that is not there is empty. 0 or -errno. */
int spool_list(const char *folder, struct spool_entry **ret, size_t *ret_n);
/* -EBADMSG: it is not what spool_put() wrote. */
int spool_read(const char *folder, const char *name, struct alert *ret);
/* Makes it one of another kind, durably; *entry has its new name then. */
int spool_turn(const char *folder, struct spool_entry *entry, enum spool_kind kind);
/* Gone already is fine. */
int spool_remove(const char *folder, const char *name);
/* Removes what writers that died left behind, and results that nobody came for: files older than a minute
 * before `wall`. */
void spool_sweep(const char *folder, int64_t wall);

/* What became of the test alert `test`: error 0 or -errno, and words. The test is removed. */
int spool_put_result(const char *folder, const struct spool_entry *test, int error, const char *text);
/* -ENOENT: not yet; else 0, the result is removed, and *ret_error and `ret_text` say it. */
int spool_take_result(const char *folder, uint64_t sequence, int *ret_error, char *ret_text, size_t size);

/* `Old-New`. */
#define ALERT_DETAIL_MAX 66
void alert_detail(const struct alert *transition, char ret[ALERT_DETAIL_MAX]);
