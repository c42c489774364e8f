/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver seam of connecting storage: a driver plans what has to be done on this host, and never does it
 * itself. ovirt-ha-storage chooses one by probing, or as storage_driver= says, runs its plans
 * (storage/storage_step.c) and owns all deadlines. Whether storage is connected is asked of the world each
 * time and never remembered. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/engine_conf.h"

#define STORAGE_WHY_SIZE 256
#define STORAGE_STEPS_MAX 64
#define STORAGE_ARGS_MAX 24
#define STORAGE_TEXT_SIZE 32768

/* Where a driver looks. Tests have their own. */
struct storage_world {
	const char *run;	 /* STORAGE_RUN_DIR: each domain has one folder in it, called as its uuid */
	const char *mountinfo;	 /* /proc/self/mountinfo */
	const char *filesystems; /* /proc/filesystems */
	const char *sys;	 /* /sys */
	const char *dev;	 /* /dev */
	const char *iscsi;	 /* the folder of open-iscsi's records of targets: /etc/iscsi */
	const char *path;	 /* where programs are, folders separated by colons */
};

extern const struct storage_world storage_machine;

/* What a step does. All its arguments are strings. Each step runs in a child process of its own, which is
 * killed with all of its process group at the step's deadline and not waited for; all of them may find done
 * what they do. */
enum storage_step_kind {
	STORAGE_STEP_FOLDER, /* PATH: made, with its parents, root's, 0755 */
	STORAGE_STEP_FILE, /* PATH CONTENT: root's, 0600, replaced in one step; empty CONTENT: only made where
			      there is none */
	STORAGE_STEP_LINE, /* PATH KEY VALUE: the line `KEY = VALUE` of a file that is there, replaced or
			      added */
	STORAGE_STEP_LINK, /* PATH TARGET: a symbolic link, replaced in one step */
	STORAGE_STEP_REMOVE, /* PATH: file, link or empty folder */
	STORAGE_STEP_MOUNT, /* SOURCE PATH TYPE OPTIONS, by libmount; nothing where PATH is a mount already */
	STORAGE_STEP_UNMOUNT, /* PATH; -EBUSY where it is used */
	STORAGE_STEP_RUN,     /* PROGRAM ARG..: searched in world->path, by its exit status; what it says on
				 stderr is     the reason of a failure. No secrets: everybody can read command
				 lines
			       */
	STORAGE_STEP_AWAIT,   /* PATH: until it is there, looked at 10 times a second */
	STORAGE_STEP_TOUCH,   /* PATH: the folder and each entry in it answer stat and statfs */
	STORAGE_STEP_UNUSED,  /* VMID LOCKSPACE: -EBUSY while the VM runs here or the lockspace is joined. The
				 service's  own, before each disconnect */
	STORAGE_STEP_KINDS
};

struct storage_step {
	enum storage_step_kind kind;
	int64_t ms;    /* its deadline */
	bool optional; /* its failure is a line of debug and the plan goes on */
	int okay; /* an exit status of RUN that is no failure besides 0; 0: none (iscsiadm has its own for
		     "done already") */
	const char *words; /* of RUN: a file whose last line is the reason of a failure where there is one,
			      since PROGRAM only says that something else failed; NULL: none */
	const char *args[STORAGE_ARGS_MAX + 1]; /* up to a NULL */
};

struct storage_plan {
	struct storage_step steps[STORAGE_STEPS_MAX];
	size_t n_steps;
	bool full; /* something did not fit: the plan is refused, not cut */
	size_t used;
	char text[STORAGE_TEXT_SIZE]; /* of arguments that were put together */
};

/* Adds a step with these arguments up to a NULL. Strings are kept by reference: literals, the
 * configuration's, or storage_text()'s. Returns the step, for okay and optional; never NULL. */
struct storage_step *storage_plan_add(struct storage_plan *plan, enum storage_step_kind kind, int64_t ms, ...)
	__attribute__((sentinel));
/* Puts a string together that lives as long as the plan. Never NULL. */
const char *storage_text(struct storage_plan *plan, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The domain's folder: world->run/<sdUUID>. For files it is where they are (kernel: the mount point), called
 * as domain_area_names has them; of a LUN it has one entry, `lun`, which is all of it. */
const char *storage_folder(struct storage_plan *plan, const struct storage_world *world,
			   const struct engine_conf *conf);

enum storage_state {
	STORAGE_DISCONNECTED, /* nothing of it is there */
	STORAGE_PARTIAL,      /* some of it: connecting again adds the rest, disconnecting takes it away */
	STORAGE_CONNECTED,
};

/* All functions required; all but probe and state are pure. `conf` has passed engine_conf_check() and has a
 * domainType. */
struct storage_driver {
	const char *name; /* the word of storage_driver= */
	/* Can this host connect storage of this kind this way? 0, or -EOPNOTSUPP and in `why` what is missing
	 * and what to install. Looks at files only, never at the storage. */
	int (*probe)(const struct storage_world *world, const struct engine_conf *conf,
		     char why[STORAGE_WHY_SIZE]);
	/* Steps in order; the first failure ends it. Must do nothing where all is connected and add what is
	 * missing where some is. */
	void (*connect)(const struct storage_world *world, const struct engine_conf *conf,
			struct storage_plan *plan);
	/* The reverse; each step is run, whatever became of the one before, and the first failure is told. */
	void (*disconnect)(const struct storage_world *world, const struct engine_conf *conf,
			   struct storage_plan *plan);
	/* By mountinfo, sysfs and names in /run and /dev: never by asking the storage, which may hang (no
	 * stat of what lies behind a mount point). -errno: could not be told. */
	int (*state)(const struct storage_world *world, const struct engine_conf *conf,
		     enum storage_state *ret);
};

extern const struct storage_driver storage_kernel, storage_userspace;
/* All of them, in the order in which they are tried; NULL ends them. */
extern const struct storage_driver *const storage_drivers[];

/* The one that storage_driver= names, or the first that can, of those up to a NULL. NULL: none can, and `why`
 * says of the first what is missing. Looks at files only. */
const struct storage_driver *storage_driver_choose(const struct storage_driver *const *drivers,
						   const struct storage_world *world,
						   const struct engine_conf *conf,
						   char why[STORAGE_WHY_SIZE]);

/* For drivers. The number of mounts whose mount point is exactly `path`, -errno. Octal escapes are undone. */
int storage_mounts(const struct storage_world *world, const char *path);
/* Is there an executable of this name in world->path? */
bool storage_program(const struct storage_world *world, const char *name);
/* Is there a line with this file system in /proc/filesystems? */
bool storage_filesystem(const struct storage_world *world, const char *name);
