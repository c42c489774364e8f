/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of libvirt about a live migration. For libvirt_call.c alone; blocks as its jobs do. */
#pragma once

#include "daemon/libvirt_call.h"

struct _virDomain;

/* Moves it to the host that `call` names; outcome and why are the call's. Returns when it is over. */
void libvirt_migrate(struct libvirt_call *call, struct _virDomain *domain);
/* Ends the one under way: the VM stays, unless it had been handed over. */
void libvirt_migrate_cancel(struct libvirt_call *call, struct _virDomain *domain);
/* Whether the VM is being migrated, whoever asked for it, and how much is copied: `leaving` and `copied` of
 * `view`, which stay as they were when libvirt can't tell. */
void libvirt_migrate_look(struct _virDomain *domain, struct domain_view *view);
