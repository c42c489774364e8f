/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way back of a deployment's storage (safety rule 15): what keeps the domain from being erased, and what
 * stands in the journal when storage is lost in the middle, for another try. The storage, its service and
 * the watch over its lockspace are stand-ins; journal and files are real. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/lockspace_watch.h"
#include "tools/deploy_steps.h"
#include "tools/storage_ask.h"
#include "util/direct_read.h"

#define OURS "5e5c1d5a-0f0e-4b8e-9a53-2d4a3c1e7f10"
#define OTHER "5e5c1d5a-0f0e-4b8e-9a53-2d4a3c1e7f11"
#define PLACE "192.0.2.1:/made" /* where the domain was made, and is erased */
#define SEEN "192.0.2.1:/seen"	/* by what hosts are looked for */
#define CONF "domainType=nfs\nsdUUID=" OURS "\nstorage=" SEEN "\n"
#define STORAGE "stage.configuration=done\nconf.before=no\nstage.storage=done\n"
#define DOMAIN "stage.domain=done\ndomain.path=" PLACE "\ndomain.uuid=" OURS "\n"

int __wrap_storage_ask(enum storage_request_kind kind, struct storage_reply *ret);
int __wrap_domain_read(const char *path, unsigned sector_size, struct domain *ret,
		       char ret_why[DOMAIN_WHY_SIZE]);
int __wrap_domain_erase(const char *path, const char *uuid, unsigned sector_size,
			char ret_why[DOMAIN_WHY_SIZE]);
int __wrap_lockspace_watch_new(const struct watch_request *request, struct lockspace_watch **ret,
			       char why[WATCH_WHY_SIZE]);
int __wrap_lockspace_watch_look(struct lockspace_watch *watch, mono_t now, char why[WATCH_WHY_SIZE]);
void __wrap_lockspace_watch_free(struct lockspace_watch *watch);
int __wrap_direct_read(const char *path, uint64_t offset, size_t size, uint8_t *ret);

static char dir[] = "/tmp/ovirt-ha-way-back-XXXXXX";

/* What the stand-ins answer: 0 or -errno. */
struct world {
	int connect, disconnect;
	int place, seen;		/* of domain_read() */
	const char *place_is, *seen_is; /* whose they are; NULL: ours */
	int watch, look, board;
	bool host2; /* has a record */
	int erase;
};

static struct world world;
static unsigned erased;

static int answer(int error, char *why, size_t size)
{
	if (error < 0)
		snprintf(why, size, "stand-in %d", -error);
	return error;
}

int __wrap_storage_ask(enum storage_request_kind kind, struct storage_reply *ret)
{
	*ret = (struct storage_reply){.error = kind == STORAGE_CONNECT ? world.connect : world.disconnect};
	(void)answer(ret->error, ret->text, sizeof(ret->text));
	return 0;
}

int __wrap_domain_read(const char *path, unsigned sector_size, struct domain *ret,
		       char ret_why[DOMAIN_WHY_SIZE])
{
	const bool place = strcmp(path, PLACE) == 0;
	const char *whose = place ? world.place_is : world.seen_is;

	assert_true(place || strcmp(path, SEEN) == 0);
	snprintf(ret->identity.domain, sizeof(ret->identity.domain), "%s", whose ? whose : OURS);
	return answer(place ? world.place : world.seen, ret_why, DOMAIN_WHY_SIZE);
}

int __wrap_domain_erase(const char *path, const char *uuid, unsigned sector_size,
			char ret_why[DOMAIN_WHY_SIZE])
{
	assert_string_equal(path, PLACE);
	assert_string_equal(uuid, OURS);
	erased++;
	return answer(world.erase, ret_why, DOMAIN_WHY_SIZE);
}

int __wrap_lockspace_watch_new(const struct watch_request *request, struct lockspace_watch **ret,
			       char why[WATCH_WHY_SIZE])
{
	return answer(world.watch, why, WATCH_WHY_SIZE);
}

int __wrap_lockspace_watch_look(struct lockspace_watch *watch, mono_t now, char why[WATCH_WHY_SIZE])
{
	return world.look < 0 ? answer(world.look, why, WATCH_WHY_SIZE) : 1;
}

void __wrap_lockspace_watch_free(struct lockspace_watch *watch)
{
}

int __wrap_direct_read(const char *path, uint64_t offset, size_t size, uint8_t *ret)
{
	memset(ret, 0, size);
	ret[2 * BLOCK_SIZE] = world.host2 ? 'h' : '\0';
	return world.board;
}

static const char *in_dir(const char *name, char ret[256])
{
	snprintf(ret, 256, "%s/ovirt-hosted-engine/%s", dir, name);
	return ret;
}

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *file = fopen(in_dir(name, path), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool is_there(const char *name)
{
	char path[256];

	return access(in_dir(name, path), F_OK) == 0;
}

/* The way back, once; `journal`: what stands in it then, "" where it is gone. */
static int go_back(char journal[1024], char reason[STAGE_WHY_SIZE])
{
	struct deployment *deployment = calloc(1, sizeof(*deployment));
	char path[256];
	FILE *file;
	size_t n = 0;
	int r;

	assert_non_null(deployment);
	assert_int_equal(deployment_open(deployment), 0);
	r = deployment_disconnect(deployment);
	snprintf(reason, STAGE_WHY_SIZE, "%.1000s", deployment->reason);
	deployment_close(deployment);
	free(deployment);
	file = fopen(in_dir("deploy.journal", path), "r");
	if (file) {
		n = fread(journal, 1, 1023, file);
		fclose(file);
	}
	journal[n] = '\0';
	return r;
}

struct row {
	const char *name, *journal;
	struct world world;
	int error;
	unsigned erased;
	const char *reason; /* a part of it */
	const char *stays;  /* a line of the journal afterwards; NULL: it is gone */
};

static const struct row rows[] = {
	{"told to nobody", DOMAIN, {0}, 0, 1, "", NULL},
	{"told to nobody, the server is lost",
	 DOMAIN,
	 {.erase = -ETIMEDOUT},
	 -ETIMEDOUT,
	 1,
	 "Not taken back: Creating the storage domain: stand-in",
	 "domain.path=" PLACE},
	{"nobody uses it", DOMAIN "shared=yes\n", {0}, 0, 1, "", NULL},
	{"nothing is there any more", DOMAIN "shared=yes\n", {.place = -ENODATA}, 0, 1, "", NULL},
	{"another domain is there now",
	 DOMAIN "shared=yes\n",
	 {.place_is = OTHER, .seen = -EIO, .erase = -EXDEV},
	 0,
	 1,
	 "",
	 NULL},
	{"the place does not answer",
	 DOMAIN "shared=yes\n",
	 {.place = -ETIMEDOUT},
	 -ETIMEDOUT,
	 0,
	 "Not taken back: Creating the storage domain: stand-in",
	 "shared=yes"},
	{"what hosts are looked for by does not answer",
	 DOMAIN "shared=yes\n",
	 {.seen = -EIO},
	 -EIO,
	 0,
	 "Not taken back: Creating the storage domain: stand-in",
	 "stage.domain=done"},
	{"that finds nothing where the place has a domain",
	 DOMAIN "shared=yes\n",
	 {.seen = -ENODATA},
	 -ENODATA,
	 0,
	 "Not taken back",
	 "stage.domain=done"},
	{"that finds another domain",
	 DOMAIN "shared=yes\n",
	 {.seen_is = OTHER},
	 -EXDEV,
	 0,
	 SEEN " holds another domain, so whether hosts use " OURS " can't be told: set storage=",
	 "stage.domain=done"},
	{"the lockspace can't be read",
	 DOMAIN "shared=yes\n",
	 {.watch = -EIO},
	 -EIO,
	 0,
	 "Not taken back",
	 "stage.domain=done"},
	{"a host id is renewed",
	 DOMAIN "shared=yes\n",
	 {.look = -EBUSY},
	 -EBUSY,
	 0,
	 "Not taken back",
	 "stage.domain=done"},
	{"the whiteboard can't be read",
	 DOMAIN "shared=yes\n",
	 {.board = -EIO},
	 -EIO,
	 0,
	 "the whiteboard can't be read",
	 "stage.domain=done"},
	{"a host that is switched off",
	 DOMAIN "shared=yes\n",
	 {.host2 = true},
	 -EBUSY,
	 0,
	 "the host of id 2 was deployed on this storage since",
	 "stage.domain=done"},
	{"the storage does not come back for the look",
	 STORAGE DOMAIN "shared=yes\n",
	 {.connect = -ETIMEDOUT},
	 -ETIMEDOUT,
	 0,
	 "Not taken back: Creating the storage domain: stand-in",
	 "stage.domain=done"},
	{"the storage is lost once the domain is dealt with",
	 STORAGE DOMAIN "finished=yes\nleaving=yes\n",
	 {.disconnect = -ETIMEDOUT},
	 -ETIMEDOUT,
	 0,
	 "Not taken back: Connecting the storage: stand-in",
	 "stage.storage=done"},
	{"an engine that was up keeps its disk",
	 STORAGE DOMAIN "finished=yes\n",
	 {.place = -EIO, .seen = -EIO},
	 0,
	 0,
	 "",
	 NULL},
};

/* What failed is tried again on storage that is back, and then nothing is left to do. */
static void test_way_back(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		char journal[1024], reason[STAGE_WHY_SIZE];
		int r;

		write_file("hosted-engine.conf", CONF);
		write_file("deploy.journal", row->journal);
		world = row->world;
		erased = 0;
		r = go_back(journal, reason);
		if (r != row->error || erased != row->erased || !strstr(reason, row->reason) ||
		    (row->stays ? !strstr(journal, row->stays) : journal[0] != '\0'))
			fail_msg("%s: %d, erased %u, %s\n%s", row->name, r, erased, reason, journal);
		if (r < 0 && strstr(row->journal, "conf.before") && !is_there("hosted-engine.conf"))
			fail_msg("%s: what the next try needs is gone", row->name);
		world = (struct world){0};
		if (go_back(journal, reason) < 0 || journal[0] != '\0')
			fail_msg("%s, again: %s\n%s", row->name, reason, journal);
		if (strstr(row->journal, "conf.before") && is_there("hosted-engine.conf"))
			fail_msg("%s: hosted-engine.conf stays", row->name);
	}
}

static int setup(void **state)
{
	char path[256];

	if (!mkdtemp(dir))
		return -1;
	setenv("OVIRT_HA_CONF_DIR", dir, 1);
	setenv("OVIRT_HA_STATE_DIR", dir, 1);
	setenv("OVIRT_HA_RUN_DIR", dir, 1);
	return mkdir(in_dir("", path), 0755);
}

static int teardown(void **state)
{
	char path[256];

	unlink(in_dir("hosted-engine.conf", path));
	return rmdir(in_dir("", path)) < 0 || rmdir(dir) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_way_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
