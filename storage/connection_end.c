/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which connections are a control group's: those that the kernel says so of. A socket stays its
 * group's when the process that made it is dead, so nothing has to be noted before. It may not touch another
 * group's, and may not take "there are none" from an answer that was not whole. Called by
 * storage_daemon_main.c. */
#include "storage/connection_end.h"

#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#define ANSWER_MAX 32768
#define ROUNDS_MAX 4 /* of looking and ending: a process that is alive makes new ones */
/* From linux/tcp_states.h, which is the kernel's own: neither of a TIME_WAIT, which sends nothing any more,
 * nor of who listens. */
#define STATE_TIME_WAIT 6
#define STATE_CLOSE 7
#define STATE_LISTEN 10
#define STATES (~(1U << STATE_TIME_WAIT | 1U << STATE_CLOSE | 1U << STATE_LISTEN))

/* "is of this group" in the language of the kernel's filter: an instruction says how far to go on; by `no`
 * past the end, which refuses. */
struct filter {
	struct nlattr attribute;
	struct inet_diag_bc_op op;
	uint8_t group[8];
};

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
	struct filter filter;
};

union answer {
	struct nlmsghdr header;
	char bytes[ANSWER_MAX];
};

static int ask(int fd, struct question *question, size_t length, uint16_t type, uint16_t flags)
{
	question->header = (struct nlmsghdr){
		.nlmsg_len = (uint32_t)length, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
	return send(fd, question, length, 0) < 0 ? -errno : 0;
}

static int error_of(const struct nlmsghdr *header)
{
	const struct nlmsgerr *error = NLMSG_DATA(header);

	return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) ? error->error : -EBADMSG;
}

/* One that went by itself meanwhile is as good. */
static int end_one(int fd, uint8_t family, const struct inet_diag_sockid *id, size_t *n)
{
	struct question question = {.request = {.sdiag_family = family,
						.sdiag_protocol = IPPROTO_TCP,
						.idiag_states = STATES,
						.id = *id}};
	union answer answer;
	int r = ask(fd, &question, offsetof(struct question, filter), SOCK_DESTROY, NLM_F_ACK);
	ssize_t got;

	if (r < 0)
		return r;
	got = recv(fd, &answer, sizeof(answer), 0);
	if (got < 0)
		return -errno;
	if (!NLMSG_OK(&answer.header, (size_t)got) || answer.header.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	r = error_of(&answer.header);
	*n += r == 0;
	return r == -ENOENT ? 0 : r;
}

/* Ends those of one answer: 1 more of them follow, 0 that was all, -errno. */
static int end_listed(int fd, const union answer *answer, size_t length, uint8_t family, size_t *found,
		      size_t *n)
{
	for (const struct nlmsghdr *at = &answer->header; NLMSG_OK(at, length); at = NLMSG_NEXT(at, length)) {
		const struct inet_diag_msg *connection = NLMSG_DATA(at);
		int r;

		if (at->nlmsg_type == NLMSG_DONE)
			return 0;
		if (at->nlmsg_type == NLMSG_ERROR)
			return error_of(at);
		if (at->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    at->nlmsg_len < NLMSG_LENGTH(sizeof(*connection)))
			return -EBADMSG;
		(*found)++;
		r = end_one(fd, family, &connection->id, n);
		if (r < 0)
			return r;
	}
	return 1;
}

/* One look at a family: how many there were. */
static int end_family(uint8_t family, uint64_t group, size_t *found, size_t *n)
{
	_cleanup_close_ int list = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG),
			    end = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct question question = {
		.request = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = STATES},
		.filter = {.attribute = {sizeof(struct filter), INET_DIAG_REQ_BYTECODE},
			   .op = {INET_DIAG_BC_CGROUP_COND, sizeof(struct filter) - sizeof(struct nlattr),
				  sizeof(struct filter) - sizeof(struct nlattr) +
					  sizeof(struct inet_diag_bc_op)}}};
	union answer answer;
	int r;

	if (list < 0 || end < 0)
		return -errno;
	memcpy(question.filter.group, &group, sizeof(group));
	r = ask(list, &question, sizeof(question), SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
	if (r < 0)
		return r;
	do {
		ssize_t got = recv(list, &answer, sizeof(answer), 0);

		r = got < 0 ? -errno : end_listed(end, &answer, (size_t)got, family, found, n);
	} while (r > 0);
	return r;
}

int connections_end(const char *folder, size_t *ret_n)
{
	size_t found = 1, n = 0;
	struct stat st;
	int r = 0;

	if (stat(folder, &st) < 0)
		return -errno;
	for (int round = 0; found > 0 && round < ROUNDS_MAX; round++) {
		found = 0;
		r = end_family(AF_INET, st.st_ino, &found, &n);
		if (r == 0)
			r = end_family(AF_INET6, st.st_ino, &found, &n);
		if (r < 0)
			return r;
	}
	if (found > 0)
		return -EAGAIN;
	*ret_n = n;
	return 0;
}

int connections_group(const char *unit, char ret[4096])
{
	/* The second where groups of version 1 are beside it. */
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	_cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
	char line[2048];

	assert(ret);
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		const char *name = strrchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) != 0 || strncmp(name + 1, unit, strlen(unit)) != 0)
			continue;
		for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
			snprintf(ret, 4096, "%s%s/cgroup.procs", mounts[i], line + 3);
			if (access(ret, F_OK) == 0) {
				*strrchr(ret, '/') = '\0';
				return 0;
			}
		}
	}
	return -ENOENT;
}
