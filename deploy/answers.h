/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a deployment has to know: one table of answers with their keys in answer files, the questions in the
 * order in which they are asked, and what is right. Pure but for the two calls that name a file. Called by
 * the dialogue and by the stages of a deployment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/keyfile.h"
#include "util/settings.h"

#define ANSWER_SIZE 4096 /* bytes of one answer, with the NUL: an SSH key */
#define ANSWER_WHAT_SIZE 256

/* In the order of the questions. */
enum answer {
	ANSWER_STORAGE_TYPE,
	ANSWER_STORAGE,
	ANSWER_NFS_VERSION,
	ANSWER_VFS_TYPE,
	ANSWER_MNT_OPTIONS,
	ANSWER_PORT,
	ANSWER_USER,
	ANSWER_PASSWORD,
	ANSWER_IQN,
	ANSWER_PORTAL,
	ANSWER_LUN,
	ANSWER_STORAGE_DRIVER,
	ANSWER_STORAGE_FORCE,
	ANSWER_HOST_ID,
	ANSWER_BRIDGE,
	ANSWER_GATEWAY,
	ANSWER_NETWORK_TEST,
	ANSWER_TCP_ADDRESS,
	ANSWER_TCP_PORT,
	ANSWER_FQDN,
	ANSWER_HEALTH_URL,
	ANSWER_HEALTH_CA,
	ANSWER_APPLIANCE,
	ANSWER_VCPUS,
	ANSWER_MEMORY,
	ANSWER_DISK_SIZE,
	ANSWER_MAC,
	ANSWER_VM_NETWORK,
	ANSWER_VM_ADDRESS,
	ANSWER_VM_GATEWAY,
	ANSWER_VM_DNS,
	ANSWER_ROOT_PASSWORD,
	ANSWER_SSH_KEY,
	ANSWER_SMTP_SERVER,
	ANSWER_SMTP_PORT,
	ANSWER_SMTP_FROM,
	ANSWER_SMTP_TO,
	ANSWER_VMID,
	ANSWER_DOMAIN,
	ANSWER_IO_TIMEOUT,
	ANSWER_WATCHDOG_TIMEOUT,
	ANSWER_REQUIRE_WATCHDOG,
	ANSWER_HEALTH_TIMEOUT,
	ANSWER_COUNT
};

struct answers {
	char *text[ANSWER_COUNT];      /* given; NULL: not */
	char *suggested[ANSWER_COUNT]; /* what this host, the storage or the appliance suggests; NULL: nothing
					*/
	unsigned ip_version;	       /* 4 or 6: addresses are of that alone; 0: of either */
	bool further;		       /* the storage has a domain: this host joins its cluster */
	bool restored; /* the first host, of a saved configuration: the machine is defined already */
};

struct answer_row {
	const char *key;
	const char *old;      /* its key in answer files of older versions, without OVEHOSTED_; NULL: none */
	const char *section;  /* what stands above the first question of it */
	const char *question; /* NULL: not asked, an answer file alone can say it */
	const char *fallback; /* the default, where nothing else is suggested; "": none */
	const char *words;    /* one of these, separated by |; NULL: anything that `check` takes */
	int64_t min, max;     /* max > 0: a whole number */
	const char *setting;  /* the key of hosted-engine.conf that it is judged as and goes to; NULL: none */
	const char *mail;     /* the same of broker.conf's [email] */
	/* More to judge: 0, or -EINVAL and in `what` what is wrong and what to do. May be NULL. */
	int (*check)(const struct answers *answers, const char *value, char what[ANSWER_WHAT_SIZE]);
	bool (*applies)(const struct answers *answers); /* NULL: always */
	bool empty;					/* may be left empty */
	bool secret;					/* not shown, not echoed */
};

extern const struct answer_row answer_rows[ANSWER_COUNT];

/* What counts: given, else suggested, else the default, else "". */
const char *answer_get(const struct answers *answers, enum answer which);
bool answer_is(const struct answers *answers, enum answer which, const char *word);
/* Does it matter for this storage, host and machine? As far as the answers before it are there. */
bool answer_applies(const struct answers *answers, enum answer which);
/* Judges one value: 0, or -EINVAL and in `what` what is wrong. */
int answer_check(const struct answers *answers, enum answer which, const char *value,
		 char what[ANSWER_WHAT_SIZE]);
/* Copies. NULL: forgets it. 0 or -ENOMEM. */
int answer_set(struct answers *answers, enum answer which, const char *value);
int answer_suggest(struct answers *answers, enum answer which, const char *value);
void answers_done(struct answers *answers);

/* An answer file over what is there: KEY=VALUE lines, or a file of an older version, whose keys without a
 * counterpart are passed over. 0 or -errno, every problem said; -ENOENT too. */
int answers_load(struct answers *answers, const char *path, struct problems *problems);
/* The same of a text: what is right of it counts even after -EINVAL. Does not block. */
int answers_parse(struct answers *answers, const char *name, const char *text, size_t size,
		  struct problems *problems);
/* All that apply and count, but for the passwords when `secrets` is false. *ret is for keyfile_free(). */
int answers_keyfile(const struct answers *answers, bool secrets, struct keyfile **ret);
/* The same with the passwords, into a file that its owner alone can read. 0 or -errno. */
int answers_save(const struct answers *answers, const char *path);
