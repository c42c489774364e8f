/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovirt-ha-storage: main (storage_main.c), its loop (storage_service.c), drivers (storage_kernel.c), their
 * plans (storage_plan.c), one step of a plan in a child process (storage_step.c). */
#pragma once

#include "storage/storage_driver.h"

struct loop;
struct storage_service;

/* Serves `listener` (a SOCK_SEQPACKET socket, which it then owns) in the loop. `conf_path`:
 * hosted-engine.conf, read for each request; `drivers` up to a NULL, the first that can is taken. All are
 * kept by reference. SIGCHLD must be ignored. 0 or -errno. */
int storage_service_new(struct loop *loop, int listener, const char *conf_path,
			const struct storage_driver *const *drivers, const struct storage_world *world,
			struct storage_service **ret);
/* What is under way is left to itself: the next service finds in the world what became of it. */
void storage_service_free(struct storage_service *service);
