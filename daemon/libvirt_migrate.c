/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Live migration by libvirt, peer to peer: the two libvirtds do it between them, with sanlock's lease handed
 * over in the middle, and go on without this process (safety rule 14). It decides how, never whether. */
#include "daemon/libvirt_migrate.h"

#include <libvirt/libvirt.h>

#include "util/migration_uri.h"

/* Never post-copy: the guest would run there with its memory here, and lose it with either host. Never
 * tunnelled: libvirt hands no lease over then. Never unsafe: libvirt refuses disks that two hosts would
 * cache. The VM stays transient, on both sides. A guest that dirties its memory faster than it is copied is
 * slowed down. */
#define FLAGS                                                                                                \
	(VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_AUTO_CONVERGE | VIR_MIGRATE_ABORT_ON_ERROR)

void libvirt_migrate_look(virDomainPtr domain, struct domain_view *view)
{
	virTypedParameterPtr params = NULL;
	int type, n_params = 0, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
	unsigned long long total = 0, left = 0;

	if (virDomainGetJobStats(domain, &type, &params, &n_params, 0) < 0)
		return;
	virTypedParamsGetInt(params, n_params, VIR_DOMAIN_JOB_OPERATION, &operation);
	virTypedParamsGetULLong(params, n_params, VIR_DOMAIN_JOB_MEMORY_TOTAL, &total);
	virTypedParamsGetULLong(params, n_params, VIR_DOMAIN_JOB_MEMORY_REMAINING, &left);
	virTypedParamsFree(params, n_params);
	view->leaving = type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
	if (view->leaving && total > 0 && left <= total)
		view->copied = (int32_t)(1000 - 1000 * left / total);
}

/* libvirt would wait for its end for 30 s and then begin another one, or not. */
static bool job_under_way(virDomainPtr domain)
{
	virDomainJobInfo job;

	return virDomainGetJobInfo(domain, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE;
}

void libvirt_migrate(struct libvirt_call *call, virDomainPtr domain)
{
	const struct libvirt_config *config = &call->config;
	unsigned int flags = FLAGS;
	virTypedParameterPtr params = NULL;
	int n_params = 0, max_params = 0, r = 0;
	char uri[MIGRATION_URI_MAX];

	if (migration_uri_make(config->migration_uri, call->argument, uri) < 0) {
		libvirt_refuse(call, OUTCOME_FAILED, "the target's record has no host name to go to");
		return;
	}
	if (job_under_way(domain)) {
		libvirt_refuse(call, OUTCOME_UNDER_WAY, "libvirt has another job of the VM under way");
		return;
	}
	/* What guards the way to the other libvirtd guards the guest's memory. */
	if (!migration_uri_plain(uri))
		flags |= VIR_MIGRATE_TLS;
	if (config->migration_downtime > 0)
		r = virDomainMigrateSetMaxDowntime(domain, (unsigned long long)config->migration_downtime, 0);
	if (r == 0 && config->migration_bandwidth > 0)
		r = virTypedParamsAddULLong(&params, &n_params, &max_params, VIR_MIGRATE_PARAM_BANDWIDTH,
					    (unsigned long long)config->migration_bandwidth);
	if (r == 0 && !atomic_load(&call->abandoned))
		r = virDomainMigrateToURI3(domain, uri, params, (unsigned)n_params, flags);
	if (r == 0 && !atomic_load(&call->abandoned))
		call->outcome = OUTCOME_OK;
	else
		libvirt_fail(call, uri);
	virTypedParamsFree(params, n_params);
}

void libvirt_migrate_cancel(struct libvirt_call *call, virDomainPtr domain)
{
	if (virDomainAbortJob(domain) == 0)
		call->outcome = OUTCOME_OK;
	else
		libvirt_fail(call, "cancel the migration");
}
