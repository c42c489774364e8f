/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-whiteboard-lease: holds one sanlock lease of those behind the engine's until its stdin closes or
 * its time is over (safety rule 16). A process of its own because sanlock kills the holders of a lease that
 * is lost, and that must never be the broker. It reads and writes nothing on the whiteboard. Started by
 * lockspace/block0_lease.c; exit 0: released, 1: not had or lost, by SIGALRM: its time was over. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>

#define BEHIND_MAX 9
#define SECONDS_MAX 600

static int number(const char *text, unsigned long long max, unsigned long long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && errno == 0 && *ret <= max ? 0 : -EINVAL;
}

struct lease {
	struct sanlk_resource res;
	struct sanlk_disk disk;
};

/* Bytes from the lease at this place to the next one: of the lease's own, which was chosen when it was made.
 */
static int64_t alignment(const struct lease *at)
{
	struct lease engine = {.res.num_disks = 1, .disk = at->disk};
	int r = sanlock_read_resource(&engine.res, 0);

	if (r < 0)
		return r;
	/* SANLK_RES_ALIGN1M, 2M, 4M, 8M are four bits in a row. */
	for (int i = 0; i < 4; i++)
		if (engine.res.flags & (SANLK_RES_ALIGN1M << i))
			return INT64_C(1024) * 1024 << i;
	return sanlock_align(&engine.disk);
}

/* Waits for the end of stdin. 0, or -ECONNRESET: sanlock is gone, and the lease with it. */
static int hold(int sanlock)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = sanlock, .events = POLLIN}};
	char byte;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECONNRESET;
		if (fds[0].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			return 0;
	}
}

int main(int argc, char *argv[])
{
	struct lease lease = {0};
	struct sanlk_resource *list[] = {&lease.res};
	unsigned long long offset, behind, seconds;
	int64_t step;
	int sanlock, r;

	if (argc != 7 || strlen(argv[1]) >= SANLK_NAME_LEN || strlen(argv[2]) >= SANLK_NAME_LEN ||
	    strlen(argv[3]) >= SANLK_PATH_LEN || number(argv[4], UINT64_MAX, &offset) < 0 ||
	    number(argv[5], BEHIND_MAX, &behind) < 0 || behind == 0 ||
	    number(argv[6], SECONDS_MAX, &seconds) < 0 || seconds == 0) {
		fputs("ovirt-ha-whiteboard-lease LOCKSPACE RESOURCE ENGINE_LEASE_PATH OFFSET BEHIND "
		      "SECONDS\n",
		      stderr);
		return EXIT_FAILURE;
	}
	/* Whatever hangs below, the time is over then, and the end of this process frees the lease. */
	signal(SIGALRM, SIG_DFL);
	alarm((unsigned)seconds);
	strcpy(lease.res.lockspace_name, argv[1]);
	strcpy(lease.res.name, argv[2]);
	lease.res.num_disks = 1;
	strcpy(lease.disk.path, argv[3]);
	lease.disk.offset = offset;

	sanlock = sanlock_register();
	if (sanlock < 0) {
		fprintf(stderr, "not registered error=%d\n", sanlock);
		return EXIT_FAILURE;
	}
	step = alignment(&lease);
	if (step <= 0) {
		fprintf(stderr, "no lease at the offset error=%d\n", (int)step);
		return EXIT_FAILURE;
	}
	lease.disk.offset += behind * (uint64_t)step;
	/* OWNER_NOWAIT: a dead owner's time is not waited for here, it is longer than anybody's patience. */
	r = sanlock_acquire(sanlock, -1, SANLK_ACQUIRE_OWNER_NOWAIT, 1, list, NULL);
	if (r < 0) {
		fprintf(stderr, "not acquired error=%d\n", r);
		return EXIT_FAILURE;
	}
	puts("held");
	if (fflush(stdout) != 0)
		return EXIT_FAILURE;
	if (hold(sanlock) < 0)
		return EXIT_FAILURE;
	r = sanlock_release(sanlock, -1, 0, 1, list);
	return r < 0 ? EXIT_FAILURE : 0;
}
