/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides in which order a host is changed. What the stages do stands in deploy_host.c, deploy_storage.c and
 * deploy_engine.c. */
#include "tools/deploy_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tools/deploy_stages.h"
#include "tools/deploy_terminal.h"
#include "util/paths.h"

static bool is_first(void *data)
{
	return !((struct deployment *)data)->answers.further;
}

static bool is_connected(void *data)
{
	return !answer_is(&((struct deployment *)data)->answers, ANSWER_STORAGE_TYPE, "path");
}

static const struct stage all_stages[] = {
	{"configuration", "Writing hosted-engine.conf", stage_run_configuration, stage_undo_configuration,
	 NULL},
	{"storage-service", "Starting ovirt-ha-storage", stage_run_storage_service,
	 stage_undo_storage_service, is_connected},
	{"storage", "Connecting the storage", stage_run_storage, stage_undo_storage, is_connected},
	{"domain", "Creating the storage domain", stage_run_domain, stage_undo_domain, is_first},
	{"disk", "Importing the engine's disk", stage_run_disk, NULL, is_first},
	{"cloud-init", "Writing the engine's first configuration (cloud-init)", stage_run_cloud_init,
	 stage_undo_cloud_init, is_first},
	{"shared", "Writing the configuration", stage_run_shared, NULL, NULL},
	{"qemu-conf", "Configuring libvirt: sanlock", stage_run_qemu_conf, stage_undo_qemu_conf, NULL},
	{"qemu-sanlock", "Configuring libvirt: leases", stage_run_qemu_sanlock, stage_undo_qemu_sanlock,
	 NULL},
	{"hook", "Looking for libvirt's hook", stage_run_hook, stage_undo_hook, NULL},
	{"sanlock", "Configuring sanlock", stage_run_sanlock, stage_undo_sanlock, NULL},
	{"sleep", "Masking suspend", stage_run_sleep, stage_undo_sleep, NULL},
	{"support", "Starting sanlock, libvirt and the guard", stage_run_support, stage_undo_support, NULL},
	{"daemons", "Starting the hosted engine's daemons", stage_run_daemons, stage_undo_daemons, NULL},
	{"wait", "Waiting for the hosted engine", stage_run_wait, NULL, NULL},
	{"finish", "Finishing", stage_run_finish, NULL, NULL},
};
#define STAGES (sizeof(all_stages) / sizeof(all_stages[0]))
#define LOOK_STAGES 3 /* those that connect the storage */

static void say_stage(void *data, const char *level, const char *line)
{
	struct deployment *deployment = data;

	if (!deployment->silent)
		terminal_say(level, line);
	else if (strcmp(level, "ERROR") == 0)
		snprintf(deployment->reason, sizeof(deployment->reason), "%s", line);
}

static struct stages stages_of(struct deployment *deployment, size_t n)
{
	return (struct stages){.all = all_stages,
			       .n = n,
			       .journal = deployment->journal,
			       .data = deployment,
			       .say = say_stage};
}

int deployment_open(struct deployment *deployment)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	char path[PATH_MAX], *slash;
	int r;

	/* The journal itself is replaced at each change: its folder is locked. */
	file_path(FILE_DEPLOY_JOURNAL, path);
	slash = strrchr(path, '/');
	*slash = '\0';
	deployment->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (deployment->lock < 0 || flock(deployment->lock, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		fprintf(stderr, "%s: %s\n", path,
			r == -EWOULDBLOCK
				? "another --deploy or hosted-engine-cleanup runs on this host; wait for it"
				: strerror(-r));
		return r;
	}
	*slash = '/';
	r = journal_open(path, &problems, &deployment->journal);
	if (r < 0 && problems.count == 0)
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
	return r;
}

void deployment_close(struct deployment *deployment)
{
	answers_done(&deployment->answers);
	conf_archive_done(&deployment->archive);
	journal_free(deployment->journal);
	if (deployment->lock >= 0)
		close(deployment->lock);
}

bool deployment_finished(const struct deployment *deployment)
{
	return journal_get(deployment->journal, "finished");
}

int deployment_run(struct deployment *deployment)
{
	const struct stages stages = stages_of(deployment, STAGES);

	return stages_run(&stages);
}

int deployment_connect(struct deployment *deployment)
{
	const struct stages stages = stages_of(deployment, LOOK_STAGES);
	int r;

	deployment->silent = true;
	r = stages_run(&stages);
	deployment->silent = false;
	return r;
}

int deployment_disconnect(struct deployment *deployment)
{
	int r;

	deployment->silent = true;
	r = deployment_undo(deployment);
	deployment->silent = false;
	return r;
}

int deployment_undo(struct deployment *deployment)
{
	const struct stages stages = stages_of(deployment, STAGES);
	int r = stages_undo(&stages);

	if (r == 0)
		r = journal_remove(deployment->journal);
	return r;
}
