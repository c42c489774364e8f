/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How libvirt is asked for a live migration (safety rule 14): never post-copy, tunnelled or unsafe, never
 * beside another job, with the memory encrypted where the way to the other libvirt is. The functions of
 * libvirt that it calls stand here and write down what they were given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon/libvirt_migrate.h"
#include "util/migration_uri.h"

static struct {
	int job, operation;
	unsigned long long left; /* of 1000 bytes */
	bool fails, cancels;
	char uri[MIGRATION_URI_MAX];
	unsigned int flags;
	unsigned long long downtime, bandwidth;
	struct libvirt_call *call;
} fake;

static int place; /* libvirt's handles are opaque: any address does */

int virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info)
{
	memset(info, 0, sizeof(*info));
	info->type = fake.job;
	return 0;
}

int virDomainGetJobStats(virDomainPtr domain, int *type, virTypedParameterPtr *params, int *n,
			 unsigned int flags)
{
	assert_int_equal(flags, 0);
	*type = fake.job;
	return fake.fails ? -1 : 0;
}

int virTypedParamsGetInt(virTypedParameterPtr params, int n, const char *name, int *value)
{
	assert_string_equal(name, VIR_DOMAIN_JOB_OPERATION);
	*value = fake.operation;
	return 1;
}

int virTypedParamsGetULLong(virTypedParameterPtr params, int n, const char *name, unsigned long long *value)
{
	*value = strcmp(name, VIR_DOMAIN_JOB_MEMORY_TOTAL) == 0 ? 1000 : fake.left;
	return 1;
}

int virTypedParamsAddULLong(virTypedParameterPtr *params, int *n, int *max, const char *name,
			    unsigned long long value)
{
	assert_string_equal(name, VIR_MIGRATE_PARAM_BANDWIDTH);
	fake.bandwidth = value;
	*n = 1;
	return 0;
}

void virTypedParamsFree(virTypedParameterPtr params, int n)
{
}

int virDomainMigrateSetMaxDowntime(virDomainPtr domain, unsigned long long downtime, unsigned int flags)
{
	fake.downtime = downtime;
	return 0;
}

int virDomainMigrateToURI3(virDomainPtr domain, const char *uri, virTypedParameterPtr params, unsigned int n,
			   unsigned int flags)
{
	snprintf(fake.uri, sizeof(fake.uri), "%s", uri);
	fake.flags = flags;
	assert_int_equal(n, fake.bandwidth > 0);
	return fake.fails ? -1 : 0;
}

int virDomainAbortJob(virDomainPtr domain)
{
	fake.cancels = true;
	return fake.fails ? -1 : 0;
}

virErrorPtr virGetLastError(void)
{
	static virError error = {.code = VIR_ERR_OPERATION_FAILED, .message = (char *)"no"};

	return &error;
}

static void test_rows(void **state)
{
	static const struct {
		const char *name, *pattern, *host;
		int job;
		bool fails, abandoned;
		int32_t bandwidth;
		int64_t downtime;
		const char *uri; /* "": never asked */
		enum outcome outcome;
	} rows[] = {
		{"encrypted", "qemu+tls://{host}/system", "h2", 0, false, false, 0, 0, "qemu+tls://h2/system",
		 OUTCOME_OK},
		{"plain", "qemu+tcp://{host}/system", "h2", 0, false, false, 0, 0, "qemu+tcp://h2/system",
		 OUTCOME_OK},
		{"with limits", "qemu+tls://{host}/system", "h2", 0, false, false, 30, 200,
		 "qemu+tls://h2/system", OUTCOME_OK},
		{"fails", "qemu+tls://{host}/system", "h2", 0, true, false, 0, 0, "qemu+tls://h2/system",
		 OUTCOME_FAILED},
		{"another job", "qemu+tls://{host}/system", "h2", VIR_DOMAIN_JOB_UNBOUNDED, false, false, 0,
		 0, "", OUTCOME_UNDER_WAY},
		{"no host's name", "qemu+tls://{host}/system", "h2?no_verify=1", 0, false, false, 0, 0, "",
		 OUTCOME_FAILED},
		{"given up before", "qemu+tls://{host}/system", "h2", 0, false, true, 0, 0, "",
		 OUTCOME_FAILED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct libvirt_call call = {.outcome = OUTCOME_FAILED};
		bool plain = strncmp(rows[i].pattern, "qemu+tcp", 8) == 0;

		memset(&fake, 0, sizeof(fake));
		fake.job = rows[i].job;
		fake.fails = rows[i].fails;
		strcpy(call.config.migration_uri, rows[i].pattern);
		call.config.migration_bandwidth = rows[i].bandwidth;
		call.config.migration_downtime = rows[i].downtime;
		strcpy(call.argument, rows[i].host);
		atomic_store(&call.abandoned, rows[i].abandoned);
		libvirt_migrate(&call, (virDomainPtr)&place);
		if (call.outcome != rows[i].outcome || strcmp(fake.uri, rows[i].uri) != 0 ||
		    fake.bandwidth != (unsigned)rows[i].bandwidth ||
		    fake.downtime != (unsigned)rows[i].downtime)
			fail_msg("%s: outcome=%s uri=%s %s", rows[i].name, outcome_str(call.outcome),
				 fake.uri, call.why);
		if (!fake.uri[0])
			continue;
		assert_int_equal(fake.flags &
					 (VIR_MIGRATE_POSTCOPY | VIR_MIGRATE_TUNNELLED | VIR_MIGRATE_UNSAFE |
					  VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_OFFLINE),
				 0);
		assert_true(fake.flags & VIR_MIGRATE_LIVE && fake.flags & VIR_MIGRATE_PEER2PEER);
		assert_int_equal(!(fake.flags & VIR_MIGRATE_TLS), plain);
	}
}

static void test_cancel(void **state)
{
	struct libvirt_call call = {.outcome = OUTCOME_FAILED};

	memset(&fake, 0, sizeof(fake));
	libvirt_migrate_cancel(&call, (virDomainPtr)&place);
	assert_true(fake.cancels);
	assert_int_equal(call.outcome, OUTCOME_OK);
}

static void test_look(void **state)
{
	static const struct {
		const char *name;
		int job, operation;
		unsigned long long left;
		bool fails, before, leaving;
		int32_t copied;
	} rows[] = {
		{"migrates", VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, 250, false,
		 false, true, 750},
		{"counts what it can't", VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,
		 1001, false, false, true, -1},
		{"a backup", VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_BACKUP, 250, false, true,
		 false, -1},
		{"it is over", VIR_DOMAIN_JOB_NONE, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, 250, false, true,
		 false, -1},
		{"libvirt can't tell", VIR_DOMAIN_JOB_NONE, VIR_DOMAIN_JOB_OPERATION_UNKNOWN, 0, true, true,
		 true, -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct domain_view view = {.leaving = rows[i].before, .copied = -1};

		memset(&fake, 0, sizeof(fake));
		fake.job = rows[i].job;
		fake.operation = rows[i].operation;
		fake.left = rows[i].left;
		fake.fails = rows[i].fails;
		libvirt_migrate_look((virDomainPtr)&place, &view);
		if (view.leaving != rows[i].leaving || view.copied != rows[i].copied)
			fail_msg("%s: leaving=%d copied=%d", rows[i].name, view.leaving, view.copied);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_cancel),
					   cmocka_unit_test(test_look)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
