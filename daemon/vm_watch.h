/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From what libvirt says of the domain, and what we did to it, to the `VM` that decisions use (up, down,
 * down_unexpected, down_missing, unknown). Pure: it asks nobody and reads no clock. Owned by the agent. */
#pragma once

#include "daemon/vm_port.h"

/* QEMU is listed in /proc a moment longer than libvirt lists its domain; what /proc still shows this long
 * after libvirt ceased to list it lives. */
#define VM_WATCH_LINGER_MS 2000

/* A libvirtd that is restarted is back within a second: so short a silence is not worth score 0 and a round
 * of states. */
#define VM_WATCH_SILENCE_MS 3000

/* A QEMU that has ended by /proc is believed over a libvirt that lists it, unless it was asked so long after:
 * its event comes 20 to 220 ms after the death, and tells how it ended. */
#define VM_WATCH_ENDING_MS 2000

/* Zeroed by vm_watch_init(). */
struct vm_watch {
	struct domain_view view; /* the last one that told a state */
	mono_t silent_since;	 /* libvirt has not answered, MONO_UNSET: it does */
	bool was_up;		 /* it was up, and its end has not been settled */
	uint32_t ends_then;	 /* STOPPED events seen while it was last up */
	bool end_wanted;	 /* we asked it to end: whatever the event says, its end is expected */
	enum action ending;	 /* the last of what we asked with */
	int64_t shutdown_ms;	 /* a guest that runs on for so long has ignored it */
	mono_t asked_at;	 /* when what we asked with ended, MONO_UNSET: it has not */
	enum action starting;	 /* our start in flight, or ACTION_NONE */
	bool created;		 /* the paused domain is of our start, and was not resumed since */
	bool ran;		 /* the one that is listed, or was last, has been seen to run here */
	bool migrating;		 /* our migration in flight */
	bool left;		 /* the last one that was up left by migration */
	bool taken_in;		 /* it is being taken in by migration, or was until it ended */
	mono_t running_since;
	mono_t none_since;     /* libvirt lists none, MONO_UNSET: it does, or never answered */
	mono_t unlisted_since; /* a QEMU lives that libvirt does not list */
	bool qemu_seen;	       /* /proc has shown a QEMU since it last showed none */
	mono_t qemu_gone;      /* when it showed none again, MONO_UNSET: one lives, or never did */
	mono_t settled_at;     /* when an action's end proved what the VM is; older answers don't count */
};

/* `shutdown_ms`: a VM that still runs so long after it was asked to end was not ended by that. */
void vm_watch_init(struct vm_watch *watch, int64_t shutdown_ms);
/* libvirt's answer or event, in the order they came. */
void vm_watch_view(struct vm_watch *watch, const struct domain_view *view, mono_t now);
/* What the agent does: any enum action; a start settles what was before. */
void vm_watch_began(struct vm_watch *watch, enum action action);
void vm_watch_ended(struct vm_watch *watch, enum action action, enum outcome outcome, mono_t now);
/* The machine took the end of the VM in (EngineDown, ReinitializeFSM): `down` from now on, however it ended.
 */
void vm_watch_settle(struct vm_watch *watch);
/* `qemu_pid` and its moment as in struct cluster: a QEMU that lives is believed over a libvirt that does not
 * list it; so is one that has ended: `down_missing` with DETAIL_POWERING_DOWN, until libvirt tells how, or
 * is silent, or lists it VM_WATCH_ENDING_MS later.
 */
void vm_watch_facts(struct vm_watch *watch, int32_t qemu_pid, mono_t pid_begun, mono_t now,
		    struct vm_facts *ret);
