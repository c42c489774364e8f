/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One sentence for each penalty and each reason; none may be missing. */
#include "tools/simulator/meanings.h"

#include <assert.h>

static const char *const penalties[] = {
	[PENALTY_NETWORK] = "the network test fails",
	[PENALTY_MGMT_BRIDGE] = "the management bridge is down",
	[PENALTY_CPU_LOAD] = "its processors are busy",
	[PENALTY_MEMORY] = "too little free memory for the VM",
	[PENALTY_CONFIG] = "the VM's configuration can't be had or is out of date",
	[PENALTY_RETRIES] = "starts failed there",
	[PENALTY_TRIES_SPENT] = "too many starts failed there",
	[PENALTY_UNEXPECTED_SHUTDOWN] = "the VM ended there without being told to",
	[PENALTY_LOCAL_MAINTENANCE] = "the host is in local maintenance",
	[PENALTY_STOPPED] = "its agent was stopped",
	[PENALTY_VM_UNKNOWN] = "libvirt does not answer there",
	[PENALTY_NOT_READY] = "its agent has just begun",
	[PENALTY_NO_HOST_ID] = "it holds no host id in sanlock's lockspace",
	[PENALTY_NO_KNOWLEDGE] = "it does not know enough of the storage, the other hosts or itself",
	[PENALTY_NO_WATCHDOG] = "it has no working watchdog",
	[PENALTY_BLOCKED] = "its host id or its storage domain is not its own",
	[PENALTY_ALIEN_PEER] = "another host seems to see different storage",
	[PENALTY_LEASE_TIMING] = "its sanlock timeouts differ from the cluster's",
};
_Static_assert(sizeof(penalties) / sizeof(penalties[0]) == PENALTY_COUNT, "a penalty without a sentence");

static const char *const reasons[] = {
	[REASON_STARTED] = "the agent began",
	[REASON_INITIALIZED] = "the agent knows where the VM is",
	[REASON_STAY] = "nothing is to be done",
	[REASON_STOP_WANTED] = "the agent is to stop",
	[REASON_GLOBAL_MAINTENANCE] = "global maintenance: no host does anything about the VM",
	[REASON_MAINTENANCE_CLEARED] = "maintenance is over",
	[REASON_BROKER_AWAY] = "the broker does not answer: its facts are old, nothing is begun",
	[REASON_MAINTENANCE_UNKNOWN] = "whether there is global maintenance is not known: nothing is begun",
	[REASON_LOCAL_MAINTENANCE] = "the host is in local maintenance",
	[REASON_NO_HOST_TO_MOVE_TO] = "no other host can take the VM: it stays",
	[REASON_VM_UNKNOWN] = "libvirt does not answer",
	[REASON_VM_KNOWN] = "libvirt answers again",
	[REASON_VM_UP_HERE] = "the VM runs here",
	[REASON_VM_GONE] = "the VM is not here any more",
	[REASON_VM_UNEXPECTEDLY_DOWN] = "the VM ended without being told to",
	[REASON_VM_MISSING] = "the VM is gone, and nobody said how",
	[REASON_VM_PAUSED] = "the VM was paused for too long",
	[REASON_VM_HEALTHY] = "the engine answers",
	[REASON_VM_UP_ELSEWHERE] = "the VM runs on another host",
	[REASON_BAD_HEALTH] = "the engine does not answer",
	[REASON_LEASE_OWNED] = "another host that lives holds the VM's lease",
	[REASON_OWNER_SAYS_DOWN] = "the lease's owner says that the VM is down there: it is tried",
	[REASON_OWNER_SILENT] = "the lease's owner lives but says nothing: it is tried once a minute",
	[REASON_OWNER_OVERDUE] = "the lease's owner has not renewed for the dead time: it is tried",
	[REASON_MIGRATION_UNDER_WAY] = "the VM is migrating",
	[REASON_CLAIMED_UP] = "a host still says that it runs the VM",
	[REASON_NOT_READY] = "this host may not start the VM: see its score",
	[REASON_SCORE_ZERO] = "the score is 0",
	[REASON_BETTER_HOST] = "another host is better: it is to start the VM",
	[REASON_BEST_SCORE] = "no other host has a higher score",
	[REASON_LEASE_UNTAKEN] = "nobody took the free lease for a minute",
	[REASON_RANK_WAIT] = "hosts of equal score start in the order of their ids: its turn comes",
	[REASON_TRY_GAP] = "the last start failed: the next try is due later",
	[REASON_OPERATOR] = "the operator wants it",
	[REASON_IN_FLIGHT] = "what was begun has not ended",
	[REASON_START_OK] = "the VM is started",
	[REASON_START_FAILED] = "the start failed",
	[REASON_START_TIMEOUT] = "the start took too long",
	[REASON_LEASE_REFUSED] = "another host got the lease",
	[REASON_LEASE_NOT_TO_BE_HAD] = "the lease was refused three times, though nobody holds it",
	[REASON_STARTING_TIMEOUT] = "the engine did not come up in time",
	[REASON_BAD_HEALTH_TIMEOUT] = "the engine has not answered for too long",
	[REASON_SHUTDOWN_TIMEOUT] = "the VM did not shut down in time",
	[REASON_SHUTDOWN_REFUSED] = "the VM could not be shut down",
	[REASON_DESTROYED] = "the VM was ended",
	[REASON_AWAY_TIMEOUT] = "the VM was not found anywhere in time",
	[REASON_UNEXPECTED_TIMEOUT] = "the time after an unexpected end is over",
	[REASON_ALONE] = "no other host could take the VM",
	[REASON_MOVED] = "the VM moved",
	[REASON_MOVE_FAILED] = "the move failed",
	[REASON_LEASE_LOST] = "the lease is not this host's any more: the VM is killed",
	[REASON_LEASE_MOVED] = "the lease changed while the VM was paused: the VM is ended",
	[REASON_KILL_FAILED] = "QEMU survives SIGKILL",
	[REASON_STORAGE_BACK] = "the storage is back: the VM goes on",
	[REASON_QEMU_LIVES] = "a QEMU of the VM lives that libvirt does not know",
	[REASON_ALIEN_PEER] = "a host of other storage writes the whiteboard",
	[REASON_LOOK_OLD] = "libvirt was asked too long ago, its answer is waited for",
};
_Static_assert(sizeof(reasons) / sizeof(reasons[0]) == REASON_COUNT, "a reason without a sentence");

const char *penalty_meaning(enum penalty penalty)
{
	assert((unsigned)penalty < PENALTY_COUNT && penalties[penalty]);
	return penalties[penalty];
}

const char *reason_meaning(enum reason reason)
{
	assert((unsigned)reason < REASON_COUNT && reasons[reason]);
	return reasons[reason];
}
