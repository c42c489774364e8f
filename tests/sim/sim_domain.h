/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine domain's XML in a simulated cluster: what is configured, what a start makes of it, and what
 * libvirt runs of that. The preparing and the judging are the agent's own code (daemon/domain_xml.c). For
 * sim_vm.c and what belongs to it. */
#pragma once

#include <stdbool.h>

struct sim_vm;

/* The configured text, prepared by the agent. 0, or -errno where the agent refuses. */
int sim_domain_prepare(struct sim_vm *vm);
/* libvirt creates a domain of what was prepared, or of what the host that migrates it runs. */
void sim_domain_create(struct sim_vm *vm, const struct sim_vm *from);
/* The agent looks at what libvirt has: 0, or -errno where it must not run. */
int sim_domain_check(const struct sim_vm *vm);
void sim_domain_gone(struct sim_vm *vm);
