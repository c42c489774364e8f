/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how qemu-storage-daemon reaches each part of the domain, and whether it may be started. It may not
 * put a password on a command line, which everybody can read. Called by storage_daemon_main.c. */
#include "storage/storage_daemon.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "lockspace/qemu_pid.h"
#include "metadata/initiator.h"
#include "storage/domain.h"
#include "util/cleanup.h"

static void add(struct daemon_options *options, const char *text)
{
	assert(options->n < DAEMON_ARGS_MAX);
	options->args[options->n] = strdup(text);
	if (options->args[options->n])
		options->n++;
}

/* Takes the object; NULL is no memory. */
static int add_json(struct daemon_options *options, const char *option, json_t *object)
{
	size_t n = options->n;
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (text) {
		add(options, option);
		add(options, text);
		free(text);
	}
	return options->n == n + 2 ? 0 : -ENOMEM;
}

/* cache.direct: what was answered is with the server, and other hosts see it. */
static json_t *node(const char *driver, const char *name)
{
	return json_pack("{s:s, s:s, s:{s:b}}", "driver", driver, "node-name", name, "cache", "direct", 1);
}

static json_t *merged(json_t *base, json_t *more)
{
	if (base && more && json_object_update(base, more) == 0) {
		json_decref(more);
		return base;
	}
	json_decref(base);
	json_decref(more);
	return NULL;
}

/* The files are the fixed owner's, whoever asks here. */
static json_t *nfs(const char *host, const char *path, const char *name, const struct storage_export *export)
{
	return merged(node("nfs", name), json_pack("{s:{s:s, s:s}, s:s++, s:i, s:i}", "server", "type",
						   "inet", "host", host, "path", path, "/", export->name,
						   "user", DOMAIN_OWNER_ID, "group", DOMAIN_OWNER_ID));
}

static json_t *gluster(const char *host, const char *volume, const char *name,
		       const struct storage_export *export)
{
	return merged(node("gluster", name), json_pack("{s:[{s:s, s:s, s:s}], s:s, s:s}", "server", "type",
						       "inet", "host", host, "port", "24007", "volume",
						       volume + (volume[0] == '/'), "path", export->name));
}

static json_t *iscsi(const struct engine_conf *conf, const char *host, const char *initiator,
		     const char *name, const struct storage_export *export)
{
	bool six = strchr(host, ':');
	char portal[300];
	json_t *more;

	snprintf(portal, sizeof(portal), "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "", conf->port);
	more = json_pack("{s:s, s:s, s:s, s:i, s:s}", "transport", "tcp", "portal", portal, "target",
			 conf->iqn, "lun", (int)export->lun, "initiator-name", initiator);
	if (conf->user[0])
		more = merged(more, json_pack("{s:s, s:s}", "user", conf->user, "password-secret", "chap"));
	return merged(node("iscsi", name), more);
}

int storage_daemon_options(const struct engine_conf *conf, const struct storage_exports *exports,
			   const char *host_name, const char *password_file, struct daemon_options *ret)
{
	struct daemon_options options = {.n = 0};
	char host[256] = "", initiator[INITIATOR_NAME_SIZE];
	const char *path = "";
	int r = storage_server(conf->storage, host, &path);

	assert(r == 0); /* the exports were planned with it */
	initiator_name(host_name, initiator);
	add(&options, "qemu-storage-daemon");
	add(&options, "--daemonize"); /* its parent ends when all files are there */
	add(&options, "--pidfile");
	add(&options, STORAGE_DAEMON_PID_FILE); /* by it the guard knows the process (safety rule 13) */
	r = options.n == 4 ? 0 : -ENOMEM;
	if (r == 0 && conf->domain_type == DOMAIN_ISCSI && conf->user[0])
		r = add_json(&options, "--object",
			     json_pack("{s:s, s:s, s:s}", "qom-type", "secret", "id", "chap", "file",
				       password_file));
	for (size_t i = 0; r == 0 && i < exports->n; i++) {
		const struct storage_export *export = &exports->all[i];
		char name[32], whole[32];

		snprintf(name, sizeof(name), "part%zu", i);
		snprintf(whole, sizeof(whole), "%s%zu", export->size ? "unit" : "part", i);
		r = add_json(&options, "--blockdev",
			     conf->domain_type == DOMAIN_ISCSI ? iscsi(conf, host, initiator, whole, export)
			     : conf->domain_type == DOMAIN_GLUSTERFS ? gluster(host, path, name, export)
								     : nfs(host, path, name, export));
		if (r == 0 && export->size)
			r = add_json(
				&options, "--blockdev",
				merged(node("raw", name), json_pack("{s:s, s:I, s:I}", "file", whole,
								    "offset", (json_int_t) export->offset,
								    "size", (json_int_t) export->size)));
		if (r == 0)
			r = add_json(&options, "--export",
				     json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "type", "fuse", "id", name,
					       "node-name", name, "mountpoint", export->path, "writable", 1,
					       "allow-other", "on"));
	}
	if (r < 0)
		storage_daemon_options_done(&options);
	else
		*ret = options;
	return r;
}

void storage_daemon_options_done(struct daemon_options *options)
{
	for (size_t i = 0; i < options->n; i++)
		free(options->args[i]);
	*options = (struct daemon_options){.n = 0};
}

/* The table of sections is what linkers write last. Who loads a file that was cut is ended by SIGBUS. */
static int check_whole(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ElfW(Ehdr) head;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	n = read(fd, &head, sizeof(head));
	if (n < 0)
		return -errno;
	return n == sizeof(head) && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
			       head.e_shoff <= (uint64_t)st.st_size &&
			       (uint64_t)head.e_shnum * head.e_shentsize <=
				       (uint64_t)st.st_size - head.e_shoff
		       ? 0
		       : -ELIBBAD;
}

int storage_daemon_module(const char *path, char why[STORAGE_EXPORT_WHY_SIZE])
{
	const char *words = "is no module of this project";
	void *module = NULL;
	int r = check_whole(path);

	if (r < 0) {
		words = strerror(-r);
	} else {
		module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!module || !dlsym(module, "fuse_session_process_buf")) {
			r = -ELIBBAD;
			words = module ? words : dlerror();
		}
	}
	if (r < 0)
		snprintf(why, STORAGE_EXPORT_WHY_SIZE,
			 "%.80s can't be loaded: %.100s; install the package anew", path, words);
	if (module)
		dlclose(module);
	return r;
}
