/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries the XML from the configuration to QEMU. What is configured has no lease, as vm.conf has none; a
 * hook of libvirt may take out what the agent has put in. Decides nothing. Called by sim_vm.c, sim_libvirt.c
 * and sim_migrate.c. */
#include "tests/sim/sim_domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/domain_xml.h"
#include "tests/sim/sim_vm.h"

#define UUID "11111111-2222-4333-8444-00000000000a"

static const char configured[] =
	"<domain type='kvm'><name>HostedEngine</name><uuid>" UUID "</uuid><memory unit='MiB'>4096</memory>"
	"<devices><disk type='block' device='disk'><source dev='/dev/engine/disk'/><target dev='vda'/></disk>"
	"</devices></domain>";
static const struct domain_lease lease = {
	.lockspace = "hosted-engine", .key = "engine", .path = "/dev/engine/lease", .offset = 0};

int sim_domain_prepare(struct sim_vm *vm)
{
	char why[DOMAIN_WHY_MAX] = "";
	int32_t memory_mib;

	sim_domain_gone(vm);
	return domain_xml_prepare(configured, strlen(configured), UUID, &lease, &vm->xml, &memory_mib, why);
}

static void strip_lease(char *xml)
{
	static const char end_tag[] = "</lease>";
	char *begin = strstr(xml, "<lease>"), *end = begin ? strstr(begin, end_tag) : NULL;

	if (end)
		memmove(begin, end + strlen(end_tag), strlen(end + strlen(end_tag)) + 1);
}

void sim_domain_create(struct sim_vm *vm, const struct sim_vm *from)
{
	if (from) {
		sim_domain_gone(vm);
		vm->xml = from->xml ? strdup(from->xml) : NULL;
	}
	if (!vm->xml)
		abort();
	if (!from && vm->ways.strips_lease)
		strip_lease(vm->xml);
	vm->bare = !strstr(vm->xml, "<lease>");
}

int sim_domain_check(const struct sim_vm *vm)
{
	char why[DOMAIN_WHY_MAX] = "";

	if (!vm->xml)
		return -ENOENT; /* it was killed meanwhile */
	return domain_xml_check(vm->xml, strlen(vm->xml), UUID, &lease, why);
}

void sim_domain_gone(struct sim_vm *vm)
{
	free(vm->xml);
	vm->xml = NULL;
	vm->bare = false;
}
