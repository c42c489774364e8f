/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stages of a deployment on this host, each with its way back. --deploy runs them, hosted-engine-cleanup
 * walks them back; both hold one struct deployment. */
#pragma once

#include "deploy/answers.h"
#include "deploy/appliance.h"
#include "deploy/stages.h"
#include "metadata/conf_archive.h"
#include "storage/domain.h"
#include "util/engine_conf.h"

struct deployment {
	struct answers answers;
	struct journal *journal;
	struct appliance appliance;
	char uuid[UUID_SIZE]; /* of a domain that is made here, once the storage was looked at */
	struct domain domain; /* once it was read or laid out */
	struct conf_archive
		archive; /* what a further host found on the storage, or one restored was saved as */
	bool bar;	 /* a progress bar can be drawn on stdout */
	int lock;	 /* its own, as what follows */
	bool silent;
	char reason[STAGE_WHY_SIZE + 256];
};

/* Opens the journal, for one process at a time. 0 or -errno, said. */
int deployment_open(struct deployment *deployment);
void deployment_close(struct deployment *deployment);

/* All stages that were not done yet. 0 or -errno, said. */
int deployment_run(struct deployment *deployment);
/* Those that connect the storage, for a look at it before anything is decided, and their way back: without a
 * line. 0, or -errno with the reason in `reason`. */
int deployment_connect(struct deployment *deployment);
int deployment_disconnect(struct deployment *deployment);
/* All that was begun, back; then the journal goes. 0 or -errno, said. */
int deployment_undo(struct deployment *deployment);
/* Was all done that was begun? */
bool deployment_finished(const struct deployment *deployment);

/* Where the domain is or will be on this host, once the storage is connected. */
void deployment_place(const struct deployment *deployment, char ret[PATH_MAX]);
