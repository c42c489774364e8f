/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of a start and of a resume (safety rules 1, 2 and 11): what libvirt is asked, and what never. The
 * functions of libvirt that they call stand here and write down that they were called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon/libvirt_call.h"

#define UUID "11111111-2222-4333-8444-00000000000a"
#define HEAD "<domain type='kvm'><name>engine</name><uuid>" UUID "</uuid>"
#define LEASE                                                                                                \
	"<lease><lockspace>LS</lockspace><key>engine</key><target path='/srv/leases' offset='1048576'/>"     \
	"</lease>"
#define GOOD HEAD "<on_lockfailure>poweroff</on_lockfailure><devices>" LEASE "</devices></domain>"
#define BARE HEAD "<on_lockfailure>poweroff</on_lockfailure><devices/></domain>"
#define DISK(path)                                                                                           \
	HEAD "<on_lockfailure>poweroff</on_lockfailure><devices><disk type='file'><source file='" path       \
	     "'/></disk>" LEASE "</devices></domain>"
#define IGNORES HEAD "<on_lockfailure>ignore</on_lockfailure><devices>" LEASE "</devices></domain>"

enum moment { NEVER, AT_CREATE, AT_XML, AT_RESUME };

static struct {
	const char *live; /* the XML that libvirt gives back */
	bool exists, active, refuses, replaced;
	unsigned removals; /* so many tries find the one before being removed */
	bool removed;	   /* the last try did */
	enum moment given_up;
	struct libvirt_call *call;
	char told[128]; /* the calls, in order */
} fake;

static int place; /* libvirt's handles are opaque: any address does */

static void tell(const char *what, enum moment moment)
{
	strcat(fake.told, what);
	if (moment != NEVER && moment == fake.given_up)
		atomic_store(&fake.call->abandoned, true);
}

virErrorPtr virGetLastError(void)
{
	static virError none = {.code = VIR_ERR_NO_DOMAIN, .domain = VIR_FROM_QEMU};
	static virError busy = {.code = VIR_ERR_RESOURCE_BUSY, .domain = VIR_FROM_LOCKING};

	static virError removed = {.code = VIR_ERR_OPERATION_FAILED, .domain = VIR_FROM_DOMAIN};

	return fake.removed ? &removed : fake.refuses ? &busy : &none;
}

void virResetLastError(void)
{
}

int virConnectIsAlive(virConnectPtr connection)
{
	return connection != NULL;
}

int virConnectClose(virConnectPtr connection)
{
	(void)connection;
	return 0;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid)
{
	(void)connection;
	assert_string_equal(uuid, UUID);
	return fake.exists ? (virDomainPtr)&place : NULL;
}

virDomainPtr virDomainLookupByID(virConnectPtr connection, int id)
{
	(void)connection;
	assert_int_equal(id, 7);
	return fake.replaced ? NULL : (virDomainPtr)&place;
}

unsigned int virDomainGetID(virDomainPtr domain)
{
	(void)domain;
	return 7;
}

int virDomainIsActive(virDomainPtr domain)
{
	(void)domain;
	return fake.active;
}

int virDomainUndefineFlags(virDomainPtr domain, unsigned int flags)
{
	(void)domain;
	(void)flags;
	tell("undefine ", NEVER);
	return 0;
}

virDomainPtr virDomainCreateXML(virConnectPtr connection, const char *xml, unsigned int flags)
{
	(void)connection;
	assert_non_null(strstr(xml, "<lease>"));
	assert_non_null(strstr(xml, "<on_lockfailure>poweroff<"));
	fake.removed = fake.removals > 0;
	if (fake.removed) {
		fake.removals--;
		return NULL;
	}
	tell(flags == VIR_DOMAIN_START_PAUSED ? "paused " : "running ", AT_CREATE);
	return (virDomainPtr)&place;
}

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
	(void)domain;
	(void)flags;
	tell("xml ", AT_XML);
	return fake.live ? strdup(fake.live) : NULL;
}

int virDomainResume(virDomainPtr domain)
{
	(void)domain;
	tell("resume ", AT_RESUME);
	return fake.refuses ? -1 : 0;
}

int virDomainDestroy(virDomainPtr domain)
{
	(void)domain;
	tell("destroy ", NEVER);
	return 0;
}

int virDomainDestroyFlags(virDomainPtr domain, unsigned int flags)
{
	(void)domain;
	(void)flags;
	tell("destroy ", NEVER);
	return fake.active ? 0 : -1;
}

int virDomainFree(virDomainPtr domain)
{
	(void)domain;
	return 0;
}

static const struct row {
	const char *name;
	enum action action;
	const char *live;
	const char *given; /* the configured XML, NULL: BARE */
	const char *disk;  /* disk_path, NULL: not configured */
	bool exists, active, refuses, replaced;
	unsigned removals;
	enum moment given_up;
	const char *told;
	enum outcome outcome;
} rows[] = {
	{.name = "start",
	 .action = ACTION_START,
	 .live = GOOD,
	 .told = "paused xml resume ",
	 .outcome = OUTCOME_OK},
	{.name = "start while the one before is being removed",
	 .action = ACTION_START,
	 .live = GOOD,
	 .removals = 3,
	 .told = "paused xml resume ",
	 .outcome = OUTCOME_OK},
	{.name = "the one before is never removed",
	 .action = ACTION_START,
	 .live = GOOD,
	 .removals = 1000,
	 .told = "",
	 .outcome = OUTCOME_FAILED},
	{.name = "start, left paused",
	 .action = ACTION_START_PAUSED,
	 .live = GOOD,
	 .told = "paused xml ",
	 .outcome = OUTCOME_OK},
	{.name = "what libvirt made of it has no lease",
	 .action = ACTION_START,
	 .live = BARE,
	 .told = "paused xml destroy ",
	 .outcome = OUTCOME_FAILED},
	{.name = "what libvirt made of it ignores the loss",
	 .action = ACTION_START,
	 .live = IGNORES,
	 .told = "paused xml destroy ",
	 .outcome = OUTCOME_FAILED},
	{.name = "its XML is not to be had",
	 .action = ACTION_START,
	 .told = "paused xml destroy ",
	 .outcome = OUTCOME_FAILED},
	{.name = "the lease is not to be had",
	 .action = ACTION_START,
	 .live = GOOD,
	 .refuses = true,
	 .exists = true,
	 .told = "undefine paused xml resume destroy ",
	 .outcome = OUTCOME_LEASE_HELD},
	{.name = "one that is shut off is cleaned up",
	 .action = ACTION_START,
	 .live = GOOD,
	 .exists = true,
	 .told = "undefine paused xml resume ",
	 .outcome = OUTCOME_OK},
	{.name = "one that lives is let alone",
	 .action = ACTION_START,
	 .live = GOOD,
	 .exists = true,
	 .active = true,
	 .told = "",
	 .outcome = OUTCOME_FAILED},
	{.name = "given up before the resume",
	 .action = ACTION_START,
	 .live = GOOD,
	 .given_up = AT_XML,
	 .told = "paused xml destroy ",
	 .outcome = OUTCOME_FAILED},
	{.name = "given up while it waits for the lease",
	 .action = ACTION_START,
	 .live = GOOD,
	 .given_up = AT_RESUME,
	 .told = "paused xml resume destroy ",
	 .outcome = OUTCOME_FAILED},
	{.name = "given up, and another of its uuid is there",
	 .action = ACTION_START,
	 .live = GOOD,
	 .given_up = AT_RESUME,
	 .replaced = true,
	 .told = "paused xml resume ",
	 .outcome = OUTCOME_FAILED},
	{.name = "resume",
	 .action = ACTION_RESUME,
	 .live = GOOD,
	 .exists = true,
	 .active = true,
	 .told = "xml resume ",
	 .outcome = OUTCOME_OK},
	{.name = "no resume without the lease in the XML",
	 .action = ACTION_RESUME,
	 .live = BARE,
	 .exists = true,
	 .active = true,
	 .told = "xml ",
	 .outcome = OUTCOME_FAILED},
	{.name = "the configured disk is written to",
	 .action = ACTION_START,
	 .disk = "/dev/null/a",
	 .given = DISK("/dev/null/a"),
	 .live = DISK("/dev/null/a"),
	 .told = "paused xml resume ",
	 .outcome = OUTCOME_OK},
	{.name = "another disk than the configured: nothing is created",
	 .action = ACTION_START,
	 .disk = "/proc/self/stat",
	 .given = DISK("/proc/self/maps"),
	 .live = DISK("/proc/self/maps"),
	 .told = "",
	 .outcome = OUTCOME_FAILED},
	{.name = "what libvirt made of it has another disk",
	 .action = ACTION_START,
	 .disk = "/proc/self/stat",
	 .given = DISK("/proc/self/stat"),
	 .live = DISK("/proc/self/maps"),
	 .told = "paused xml destroy ",
	 .outcome = OUTCOME_FAILED},
	{.name = "no resume with another disk",
	 .action = ACTION_RESUME,
	 .disk = "/proc/self/stat",
	 .live = DISK("/proc/self/maps"),
	 .exists = true,
	 .active = true,
	 .told = "xml ",
	 .outcome = OUTCOME_FAILED},
	{.name = "no resume that was given up",
	 .action = ACTION_RESUME,
	 .live = GOOD,
	 .exists = true,
	 .active = true,
	 .given_up = AT_XML,
	 .told = "xml ",
	 .outcome = OUTCOME_FAILED},
	{.name = "destroy",
	 .action = ACTION_DESTROY,
	 .exists = true,
	 .active = true,
	 .told = "destroy ",
	 .outcome = OUTCOME_OK},
	{.name = "destroy of one that is not listed proves nothing",
	 .action = ACTION_DESTROY,
	 .told = "",
	 .outcome = OUTCOME_FAILED},
	{.name = "destroy of one that libvirt holds for ended proves nothing",
	 .action = ACTION_DESTROY,
	 .exists = true,
	 .told = "destroy ",
	 .outcome = OUTCOME_FAILED},
};

static void configure(const char *path, const char *xml)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(xml, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_rows(void **state)
{
	char path[] = "/tmp/ovirt-ha-domain-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct libvirt_call call = {
			.action = row->action,
			.config = {.uuid = UUID,
				   .lockspace = "LS",
				   .lease_name = "engine",
				   .lease_path = "/srv/leases",
				   .lease_offset = 1048576},
			.connection = (struct _virConnect *)&place,
			.event_fd = -1,
			.callbacks = LIBVIRT_NO_CALLBACKS,
		};

		configure(path, row->given ? row->given : BARE);
		if (row->disk)
			strcpy(call.config.disk, row->disk);
		memset(&fake, 0, sizeof(fake));
		fake.live = row->live;
		fake.exists = row->exists;
		fake.active = row->active;
		fake.refuses = row->refuses;
		fake.replaced = row->replaced;
		fake.removals = row->removals;
		fake.given_up = row->given_up;
		fake.call = &call;
		strcpy(call.argument, path);
		libvirt_call_run(&call.job);
		if (strcmp(fake.told, row->told) != 0 || call.outcome != row->outcome)
			fail_msg("%s: %s outcome=%s %s", row->name, fake.told, outcome_str(call.outcome),
				 call.why);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
