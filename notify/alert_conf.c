/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what alerts need to know. It decides that a password which others can read is none. Called by
 * alert_sender.c and for -n. */
#include "notify/alert_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/paths.h"

/* Up to `size` - 1 bytes of a regular file. 0 or -errno; -EFBIG: it has more. */
static int read_file(const char *path, bool private, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (private && (st.st_mode & 077) != 0)
		return -EPERM;
	n = read(fd, ret, size);
	if (n < 0)
		return -errno;
	if ((size_t)n == size)
		return -EFBIG;
	ret[n] = '\0';
	return strlen(ret) == (size_t)n ? 0 : -EINVAL;
}

/* "": there is none. */
static void password_path(const struct broker_conf *settings, char ret[PATH_MAX])
{
	const char *file = settings->smtp_password_file, *folder = getenv("CREDENTIALS_DIRECTORY");

	ret[0] = '\0';
	if (file[0])
		snprintf(ret, PATH_MAX, "%s", file);
	else if (folder)
		snprintf(ret, PATH_MAX, "%s/smtp-password", folder);
}

/* systemd guards its credentials itself, and their mode shows the right that it gave us. */
static void read_password(struct alert_conf *conf)
{
	char *ret = conf->server.password, path[PATH_MAX];
	int r;

	if (!conf->server.user[0])
		return;
	password_path(&conf->settings, path);
	if (!path[0]) {
		snprintf(conf->trouble, sizeof(conf->trouble),
			 "smtp-user has no password: set smtp-password-file, or give "
			 "ovirt-ha-notify.service the credential smtp-password");
		return;
	}
	r = read_file(path, conf->settings.smtp_password_file[0], ret, sizeof(conf->server.password));
	if (r == 0) {
		ret[strcspn(ret, "\r\n")] = '\0';
		return;
	}
	ret[0] = '\0';
	if (r == -EPERM)
		snprintf(conf->trouble, sizeof(conf->trouble),
			 "%.300s can be read by others; chmod 600 and chown ovirt-ha it, and change the "
			 "password",
			 path);
	else
		snprintf(conf->trouble, sizeof(conf->trouble),
			 "the password can't be read from %.300s: %s; the user ovirt-ha must be able to",
			 path, strerror(-r));
}

static int read_text(char **ret)
{
	_cleanup_free_ char *text = malloc(MAIL_TEMPLATE_MAX);
	char path[PATH_MAX];

	if (!text)
		return -ENOMEM;
	/* An alert is worth more than its wording. */
	if (read_file(file_path(FILE_MAIL_TEXT, path), false, text, MAIL_TEMPLATE_MAX) < 0)
		strcpy(text, mail_fallback);
	*ret = TAKE_PTR(text);
	return 0;
}

int alert_conf_load(struct alert_conf *ret, struct problems *problems)
{
	struct broker_conf *settings = &ret->settings;
	struct mail_server *server = &ret->server;
	char path[PATH_MAX], copy[PATH_MAX];
	int r;

	memset(ret, 0, sizeof(*ret));
	r = broker_conf_load_both(file_path(FILE_BROKER_CONF, path), file_path(FILE_SHARED_BROKER_CONF, copy),
				  settings, problems);
	if (r < 0)
		return r;
	_Static_assert(sizeof(server->host) == sizeof(settings->smtp_server) &&
			       sizeof(server->ca_file) == sizeof(settings->smtp_ca) &&
			       sizeof(server->user) == sizeof(settings->smtp_user) &&
			       sizeof(server->from) == sizeof(settings->source_email) &&
			       sizeof(server->to) == sizeof(settings->destination_emails),
		       "a setting would be cut");
	memcpy(server->host, settings->smtp_server, sizeof(server->host));
	memcpy(server->ca_file, settings->smtp_ca, sizeof(server->ca_file));
	memcpy(server->user, settings->smtp_user, sizeof(server->user));
	memcpy(server->from, settings->source_email, sizeof(server->from));
	memcpy(server->to, settings->destination_emails, sizeof(server->to));
	server->port = settings->smtp_port;
	server->tls = (enum smtp_tls)settings->smtp_tls;
	server->timeout_s = settings->smtp_timeout_s;
	read_password(ret);
	r = read_text(&ret->text);
	if (r < 0)
		return r;
	if (regcomp(&ret->match, settings->state_transition, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0) {
		free(TAKE_PTR(ret->text));
		return -ENOMEM; /* its words have been judged */
	}
	return 0;
}

void alert_conf_done(struct alert_conf *conf)
{
	regfree(&conf->match);
	free(TAKE_PTR(conf->text));
}

/* One that is not there yet appears in its folder. What can't be watched is seen at the next look. */
static void watch(int inotify, char path[PATH_MAX])
{
	char *slash = strrchr(path, '/');

	if (inotify_add_watch(inotify, path, IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF) >=
		    0 ||
	    !slash)
		return;
	slash[slash == path] = '\0';
	(void)inotify_add_watch(inotify, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR | IN_MASK_ADD);
}

bool alert_files_changed(struct alert_files *files, const struct alert_conf *conf, int inotify)
{
	char paths[ALERT_FILES][PATH_MAX];
	bool changed = false;

	file_path(FILE_BROKER_CONF, paths[0]);
	file_path(FILE_SHARED_BROKER_CONF, paths[1]);
	file_path(FILE_MAIL_TEXT, paths[2]);
	snprintf(paths[3], PATH_MAX, "%s", conf->settings.smtp_ca);
	password_path(&conf->settings, paths[4]);
	for (size_t i = 0; i < ALERT_FILES; i++) {
		struct file_stamp *before = &files->stamps[i], stamp = {0};
		struct stat st;

		if (!paths[i][0])
			continue;
		if (stat(paths[i], &st) == 0)
			stamp = (struct file_stamp){st.st_dev, st.st_ino, st.st_size, st.st_ctim};
		changed |= stamp.device != before->device || stamp.inode != before->inode ||
			   stamp.size != before->size || stamp.changed.tv_sec != before->changed.tv_sec ||
			   stamp.changed.tv_nsec != before->changed.tv_nsec;
		*before = stamp;
		watch(inotify, paths[i]);
	}
	return changed;
}

int alert_conf_check(struct problems *problems)
{
	static const struct alert sample = {.host = "host", .from = "Old", .to = "New", .reason = "test"};
	_cleanup_free_ struct alert_conf *conf = malloc(sizeof(*conf));
	char path[PATH_MAX], text_path[PATH_MAX], why[MAIL_WHY_MAX];
	struct mail mail = {0};
	int r;

	if (!conf)
		return -ENOMEM;
	r = alert_conf_load(conf, problems);
	if (r < 0)
		return r;
	file_path(FILE_BROKER_CONF, path);
	file_path(FILE_MAIL_TEXT, text_path);
	if (conf->trouble[0])
		problems_add(problems, path, 0, "smtp-password-file", NULL, "%s", conf->trouble);
	if (conf->server.user[0] && conf->server.tls == SMTP_TLS_NONE)
		problems_warn(problems, path, 0, "smtp-tls", "none",
			      "sends the password in clear; use starttls or tls");
	if (conf->server.ca_file[0] && access(conf->server.ca_file, R_OK) < 0)
		problems_add(problems, path, 0, "smtp-ca", conf->server.ca_file, "can't be read: %s",
			     strerror(errno));
	if (conf->settings.command[0] && access(conf->settings.command, X_OK) < 0)
		problems_add(problems, path, 0, "command", conf->settings.command,
			     "can't be run: %s; make it executable for the user ovirt-ha", strerror(errno));
	if (access(text_path, R_OK) < 0)
		problems_warn(problems, text_path, 0, NULL, NULL, "can't be read: %s; a plain text is mailed",
			      strerror(errno));
	r = mail_compose(conf->text, conf->server.from, conf->server.to, &sample, 1, 0, &mail, why);
	if (r == -EINVAL)
		problems_add(problems, text_path, 0, NULL, NULL, "%s", why);
	mail_done(&mail);
	alert_conf_done(conf);
	return problems->count ? -EINVAL : 0;
}
