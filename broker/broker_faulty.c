/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ovirt-ha-broker-faulty, which is never installed, has besides ovirt-ha-broker: its whiteboard's store
 * is wrapped by metadata/store_faulty.h, and one more request sets the fault. Stands before store_open() by
 * the linker's --wrap. Decides no fault itself: tests/e2e asks for them. The request is a datagram `FAULT
 * COUNT [BLOCK [MS]]` to fault.socket below the unit's RUNTIME_DIRECTORY; the answer to every datagram is
 * `fired N`. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "metadata/store_faulty.h"
#include "util/log.h"
#include "util/loop.h"

int __real_store_open(const char *spec, const struct store_access *access, struct loop *loop,
		      struct store **ret, char *what, size_t size);
int __wrap_store_open(const char *spec, const struct store_access *access, struct loop *loop,
		      struct store **ret, char *what, size_t size);

static const char *const fault_names[] = {
	[STORE_FAULT_NONE] = "none", [STORE_FAULT_DELAY] = "delay", [STORE_FAULT_EIO] = "eio",
	[STORE_FAULT_TORN] = "torn", [STORE_FAULT_LOST] = "lost",   [STORE_FAULT_STALE] = "stale",
	[STORE_FAULT_LATE] = "late", [STORE_FAULT_NEVER] = "never",
};
_Static_assert(sizeof(fault_names) / sizeof(fault_names[0]) == STORE_FAULT_COUNT, "a name each");

/* Sets what the line asks for; one that asks for nothing known only asks. */
static void set_fault(struct store *store, const char *line)
{
	struct store_fault fault = {0};
	char name[16] = "";
	unsigned ms = 0;

	if (sscanf(line, "%15s %u %u %u", name, &fault.count, &fault.block, &ms) < 1)
		return;
	fault.delay_ms = ms;
	for (int i = 0; i < STORE_FAULT_COUNT; i++) {
		if (strcmp(name, fault_names[i]) != 0)
			continue;
		fault.kind = (enum store_fault_kind)i;
		/* A read that is late is one that never comes. */
		if (fault.kind == STORE_FAULT_LATE)
			fault.ops = STORE_FAULT_WRITES;
		store_faulty_set(store, &fault);
		log_warning("store fault %s", line);
	}
}

static void asked(int fd, short revents, void *data)
{
	struct sockaddr_un from;
	socklen_t length = sizeof(from);
	char line[64];
	ssize_t n = recvfrom(fd, line, sizeof(line) - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &length);

	(void)revents;
	if (n < 0)
		return;
	line[n] = '\0';
	set_fault(data, line);
	n = snprintf(line, sizeof(line), "fired %u\n", store_faulty_fired(data));
	sendto(fd, line, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from, length);
}

static int listen_for(struct store *store, struct loop *loop)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *folder = getenv("RUNTIME_DIRECTORY");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0 || !folder)
		return fd < 0 ? -errno : -EINVAL;
	snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/fault.socket", folder);
	unlink(address.sun_path);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	return r < 0 ? r : loop_add_fd(loop, fd, POLLIN, asked, store);
}

int __wrap_store_open(const char *spec, const struct store_access *access, struct loop *loop,
		      struct store **ret, char *what, size_t size)
{
	struct store *store;
	int r = __real_store_open(spec, access, loop, &store, what, size);

	if (r < 0)
		return r;
	r = store_faulty_new(store, loop_clock(loop), ret);
	return r < 0 ? r : listen_for(*ret, loop);
}
