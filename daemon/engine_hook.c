/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's qemu hook (safety rule 1): refuses to start, restore or take in by migration the engine's VM when
 * its XML would let it run without the engine lease, whoever asked: virsh, a management tool, an autostart.
 * Other domains pass unseen. It may not call libvirt (libvirtd waits for it) and changes nothing. Called by
 * libvirtd as `ovirt-ha NAME OPERATION SUB-OPERATION EXTRA`, the XML on stdin; libvirtd looks for hooks when
 * it starts. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/domain_xml.h"
#include "util/cleanup.h"
#include "util/engine_conf.h"
#include "util/paths.h"

/* Those at which a failure stops the domain from coming up. `reconnect` is none: its failure kills a VM that
 * runs, which is the agent's and the guard's to decide, who know of its lease. */
static bool operation_judged(const char *operation, const char *sub)
{
	static const char *const operations[] = {"prepare", "start", "migrate", "restore"};

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (strcmp(operation, operations[i]) == 0)
			return strcmp(sub, "begin") == 0;
	return false;
}

/* All of stdin, NUL terminated, up to one byte more than a domain may have. 0 or -errno. */
static int xml_read(char **ret, size_t *ret_length)
{
	_cleanup_free_ char *text = malloc(DOMAIN_XML_MAX + 2);
	size_t length = 0;

	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(STDIN_FILENO, text + length, DOMAIN_XML_MAX + 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	text[length] = '\0';
	*ret = TAKE_PTR(text);
	*ret_length = length;
	return 0;
}

/* libvirtd writes the XML itself, so the element stands there in this form alone. */
static bool is_engine(const char *text, const char *vmid)
{
	char element[UUID_SIZE + 16];

	snprintf(element, sizeof(element), "<uuid>%s</uuid>", vmid);
	return strcasestr(text, element) != NULL;
}

/* Does libvirt's qemu.conf say that leases are sanlock's? Without it libvirt starts the domain and takes no
 * lease at all; the agent would see that a second later, and two VMs would have written. The file may be
 * newer than the libvirtd that runs, but one that does not say so must not start the engine. */
static bool lock_manager_is_sanlock(void)
{
	char path[PATH_MAX], line[256], value[32];
	_cleanup_fclose_ FILE *file = fopen(file_path(FILE_QEMU_CONF, path), "re");
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " lock_manager = \"%31[^\"]\"", value) == 1)
			found = strcmp(value, "sanlock") == 0;
	return found;
}

static int judge(const struct engine_conf *conf, const char *text, size_t length)
{
	const struct domain_lease lease = {
		.lockspace = conf->lockspace_name,
		.key = conf->engine_lease_name,
		.path = conf->lease.path,
		.offset = conf->lease.offset,
	};
	char why[DOMAIN_WHY_MAX] = "";

	/* A broken configuration must not let pass what a right one would refuse. */
	if (!lease.lockspace[0] || !lease.key[0] || !lease.path[0]) {
		fputs("ovirt-ha: the engine VM is not started: hosted-engine.conf does not name its lease\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (!lock_manager_is_sanlock()) {
		fputs("ovirt-ha: the engine VM is not started: libvirt's qemu.conf does not say lock_manager "
		      "= "
		      "\"sanlock\"\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (domain_xml_check(text, length, conf->vmid, &lease, why) < 0) {
		fprintf(stderr, "ovirt-ha: the engine VM is not started: %s; use hosted-engine --vm-start\n",
			why);
		return EXIT_FAILURE;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	struct problems problems = {.say = problems_print, .data = stderr};
	_cleanup_free_ char *text = NULL;
	struct engine_conf conf;
	char path[PATH_MAX];
	size_t length = 0;
	int r;

	if (argc < 4) {
		fputs("ovirt-ha NAME OPERATION SUB-OPERATION EXTRA: called by libvirtd, see libvirt's "
		      "hooks\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (!operation_judged(argv[2], argv[3]))
		return 0;
	r = xml_read(&text, &length);
	if (r < 0) {
		fprintf(stderr, "ovirt-ha: cannot read the domain's XML: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	/* A file that is not right is filled in as far as it goes. Without a vmid no domain is the engine. */
	(void)engine_conf_load(file_path(FILE_ENGINE_CONF, path), &conf, &problems);
	if (!engine_conf_deployed(&conf) || !is_engine(text, conf.vmid))
		return 0;
	return judge(&conf, text, length);
}
