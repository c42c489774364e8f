/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-storage-daemon: becomes the qemu-storage-daemon of this host's domain, and takes away what it
 * leaves behind. It decides nothing: what is shown and how it is reached is planned in storage_export.c and
 * storage_daemon.c. Started by ovirt-ha-storage-daemon@.service, as root. Exit: 2 configuration, 1 other. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/connection_end.h"
#include "storage/storage_daemon.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"
#include "util/paths.h"

#define UNIT "ovirt-ha-storage-daemon@"
#define FUSE_COPY LIBEXECDIR "/ovirt-ha-fuse-copy.so"
#define FILE_MODE 0660 /* root and group sanlock, which the unit gives */
#define MOUNTS_MAX 64  /* one on the other, of daemons that were killed */
#define WORDS STORAGE_RUN_DIR "/" STORAGE_DAEMON_WORDS
#define WORDS_MAX 65536

CLEANUP_DEFINE(FILE *, endmntent)
CLEANUP_DEFINE(DIR *, closedir)

/* The instance of the unit: the domain's uuid. A configuration that names another one by now does not change
 * what has to be taken away. */
static const char *domain(const struct engine_conf *conf)
{
	const char *instance = getenv("STORAGE_DOMAIN");

	return instance && instance[0] ? instance : conf->sd_uuid;
}

static void make_folder(const char *uuid, char ret[PATH_MAX / 4])
{
	snprintf(ret, PATH_MAX / 4, STORAGE_RUN_DIR "/%s", uuid);
}

/* A mount whose daemon is gone answers nothing but "not connected" and hides nothing: lazily, since who has
 * its files open keeps them. */
static void unmount(const char *folder)
{
	size_t length = strlen(folder);

	for (int tries = 0; tries < MOUNTS_MAX; tries++) {
		_cleanup_(endmntent_p) FILE *mounts = setmntent("/proc/self/mounts", "re");
		const struct mntent *entry;
		bool found = false;

		while (mounts && !found && (entry = getmntent(mounts)))
			found = strncmp(entry->mnt_dir, folder, length) == 0 &&
				entry->mnt_dir[length] == '/' && strncmp(entry->mnt_type, "fuse", 4) == 0 &&
				umount2(entry->mnt_dir, MNT_DETACH) == 0;
		if (!found)
			return;
	}
}

/* The files that were mounted on go too: an empty one must not be taken for storage. What is mounted there by
 * somebody else is another file system, and is left alone. */
static void clean(const char *folder)
{
	_cleanup_(closedir_p) DIR *dir = NULL;
	struct stat run, st;

	unmount(folder);
	if (stat(STORAGE_RUN_DIR, &run) < 0 || stat(folder, &st) < 0 || st.st_dev != run.st_dev)
		return;
	dir = opendir(folder);
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_dev == run.st_dev)
			unlinkat(dirfd(dir), entry->d_name, 0);
}

/* Safety rule 13: what a daemon that was killed has not sent, the kernel goes on sending for minutes after a
 * break of the network, whoever writes by then. systemd starts the next daemon, without which nobody here
 * joins, only after this. By hand, in a shell's control group, there is nothing to end. */
static void end_connections(void)
{
	char group[4096];
	size_t n = 0;
	int r = connections_group(UNIT, group);

	if (r == 0)
		r = connections_end(group, &n);
	if (n > 0)
		log_info("connections of the ended daemon ended count=%zu", n);
	if (r < 0 && (r != -ENOENT || getenv("STORAGE_DOMAIN")))
		log_error(
			"connections of the ended daemon can't be ended, what they hold may be sent for some "
			"minutes: %s; it takes control groups of version 2 and a kernel with "
			"INET_DIAG_DESTROY",
			strerror(-r));
}

/* A regular file for FUSE to mount on. */
static int make_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);

	return fd < 0 ? -errno : 0;
}

/* The daemon reads it from a file in memory, which it inherits and nobody else sees. */
static int keep_password(const char *password, char ret_path[32])
{
	size_t length = strlen(password);
	int fd = memfd_create("chap", 0);

	if (fd < 0)
		return -errno;
	if (write(fd, password, length) != (ssize_t)length)
		return -EIO;
	snprintf(ret_path, 32, "/dev/fd/%d", fd);
	return 0;
}

/* Where who has the storage connected finds why it is not (storage_userspace.c). systemd tries again at once,
 * so nothing is taken away that may be being read: the last line counts. */
static int speak_to_file(void)
{
	_cleanup_close_ int fd = open(WORDS, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_size > WORDS_MAX && ftruncate(fd, 0) < 0) ||
	    dup2(fd, STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

/* And for the journal, which has heard nothing of it. */
static void repeat_words(void)
{
	_cleanup_fclose_ FILE *file = fopen(WORDS, "re");
	char line[1024], last[1024] = "";

	while (file && fgets(line, sizeof(line), file))
		strcpy(last, line);
	last[strcspn(last, "\n")] = '\0';
	if (last[0])
		log_error("the storage can't be shown, tried again: %s", last);
}

static int begin(const struct engine_conf *conf, const struct storage_exports *exports, const char *folder)
{
	struct daemon_options options;
	char host[256], password[32] = "", why[STORAGE_EXPORT_WHY_SIZE];
	int r = 0;

	clean(folder);
	if ((mkdir(STORAGE_RUN_DIR, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(folder, 0755) < 0 && errno != EEXIST))
		return -errno;
	for (size_t i = 0; r == 0 && i < exports->n; i++)
		r = make_file(exports->all[i].path);
	if (r == 0 && gethostname(host, sizeof(host) - 1) < 0)
		r = -errno;
	host[sizeof(host) - 1] = '\0';
	if (r == 0 && conf->user[0])
		r = keep_password(conf->password, password);
	if (r == 0)
		r = storage_daemon_options(conf, exports, host, password, &options);
	if (r < 0)
		return r;
	r = speak_to_file();
	if (r < 0)
		return r;
	/* Without it what QEMU writes may be mixed up. */
	r = storage_daemon_module(FUSE_COPY, why);
	if (r < 0) {
		fprintf(stderr, "%s\n", why);
	} else {
		if (setenv("LD_PRELOAD", FUSE_COPY, true) == 0)
			execvp(options.args[0], options.args);
		r = -errno;
	}
	storage_daemon_options_done(&options);
	return r;
}

/* What FUSE shows is for its owner alone at first. */
static int open_up(const struct storage_exports *exports)
{
	int r = 0;

	unlink(WORDS);
	for (size_t i = 0; r == 0 && i < exports->n; i++)
		r = chmod(exports->all[i].path, FILE_MODE) < 0 ? -errno : 0;
	return r;
}

int main(int argc, char *argv[])
{
	bool cleans = false, opens = false;
	const struct options_extra extras[] = {
		{"open", "let group sanlock use the files", &opens},
		{"clean", "take away what a daemon that ended left: mounts and connections", &cleans},
	};
	struct problems problems = {.say = problems_log};
	struct options options;
	struct engine_conf conf;
	struct storage_exports exports;
	char path[PATH_MAX], folder[PATH_MAX / 4], why[STORAGE_EXPORT_WHY_SIZE] = "";
	int r = options_parse(argc, argv, "ovirt-ha-storage-daemon",
			      "Shows the shared storage as files, where the kernel has no client for it.",
			      extras, sizeof(extras) / sizeof(extras[0]), &options);

	if (r >= 0)
		return r;
	log_open("ovirt-ha-storage-daemon", options.debug);
	r = engine_conf_load(file_path(FILE_ENGINE_CONF, path), &conf, &problems);
	make_folder(domain(&conf), folder);
	if (cleans) {
		end_connections();
		clean(folder);
		repeat_words();
		return EXIT_SUCCESS;
	}
	if (r == -ENOENT)
		log_error("%s does not exist", path);
	if (r < 0)
		return EXIT_CONFIG;
	if (strcmp(domain(&conf), conf.sd_uuid) != 0) {
		log_error("%s has sdUUID=%s, and not %s: connect the storage anew", path, conf.sd_uuid,
			  domain(&conf));
		return EXIT_CONFIG;
	}
	r = storage_exports_plan(&conf, folder, &exports, why);
	if (r < 0) {
		log_error("%s: %s", path, why);
		return EXIT_CONFIG;
	}
	if (options.check)
		return EXIT_SUCCESS;
	r = opens ? open_up(&exports) : begin(&conf, &exports, folder);
	if (r < 0)
		log_error("the storage can't be shown in %s: %s", folder, strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
