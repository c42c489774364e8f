/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VM port: libvirt as the agent sees it. The real one is daemon/libvirt_port.c; the library is included
 * by daemon/libvirt_call.c alone. Nothing blocks; ends and changes come as calls in the loop. */
#pragma once

#include "core/snapshot.h"

/* What libvirt says of the engine's domain now; turned into struct vm_facts by daemon/vm_watch.c, which has
 * the memory. */
enum domain_state {
	DOMAIN_UNKNOWN, /* libvirt does not answer, or not yet */
	DOMAIN_NONE,	/* not listed */
	DOMAIN_RUNNING,
	DOMAIN_PAUSED,
	DOMAIN_SHUTTING_DOWN,
	DOMAIN_SHUT_OFF, /* defined, but no QEMU */
};

enum domain_end { /* why it ended, from the last STOPPED event */
	END_NONE,
	END_BY_US,	/* destroyed, or shut down on our command */
	END_INSIDE,	/* the guest powered itself off */
	END_CRASHED,	/* crashed, failed, killed */
	END_MIGRATED,
};

struct domain_view {
	enum domain_state state;
	enum pause pause;     /* while DOMAIN_PAUSED */
	enum domain_end end;  /* of the last STOPPED event that was heard, END_NONE: none was */
	uint32_t ends;	      /* counts those events */
	mono_t begun;	      /* when the question was asked */
	bool leaving;	      /* libvirt migrates it to another host, whoever asked for it */
	int32_t copied;	      /* per mille of the memory that this has copied, -1: not known */
};

struct vm_port {
	/* Asks libvirt for the domain's state; `changed` (below) tells. Coalesced: a look under way is joined. */
	void (*look)(struct vm_port *port, mono_t deadline);
	/* Begins an action; its end comes by `ended`. -EBUSY: one of the kind is under way. `argument`: a file with the
	 * domain's XML for the starts (NULL: the configured one), the target's host name for ACTION_MIGRATE.
	 * ACTION_CANCEL ends that one early; both have an end of their own. */
	int (*act)(struct vm_port *port, enum action action, const char *argument, mono_t deadline);
	void (*close)(struct vm_port *port);

	/* Set by the owner before the first look. */
	void (*changed)(void *data, const struct domain_view *view); /* a look's answer, or an event that changed it */
	void (*ended)(void *data, enum action action, enum outcome outcome, const char *text);
	void *data;
};
