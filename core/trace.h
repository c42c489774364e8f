/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input of a step as one line of text and back: `now=... policy.x=... machine.x=... vm.x=...
 * peer.2.x=...`, only what differs from the defaults. The agent logs it with each step that acts, the golden
 * tests and the simulator read it. Pure: no heap, nothing of the C library but its string functions. */
#pragma once

#include "core/machine.h"

/* An input with room for its peers. */
struct trace {
	mono_t now;
	struct policy policy;
	struct machine machine;
	struct snapshot known; /* known.peers is `peers` */
	struct peer *peers;
	size_t max_peers;
};

/* The defaults, which a line leaves out: machine_init() at 0, policy_default, facts all unknown, no peers.
 * `peers` has room for `max_peers` (0..HOST_ID_MAX) and outlives the trace. */
void trace_init(struct trace *trace, struct peer *peers, size_t max_peers);

/* Writes the line without a newline. Moments are absolute ms, `never` or `unset`; blanks in words become `_`.
 * Returns its length, or -EMSGSIZE when `size` is too small (then ret_line is cut, and still ends with NUL).
 * 40 bytes a field are enough; a cluster of three hosts at work takes about 3 KiB. */
int trace_format(const struct machine *machine, const struct snapshot *known, const struct policy *policy,
		 mono_t now, char *ret_line, size_t size);

/* Reads a line into a trace that trace_init() made. -EINVAL: an unknown key, a value out of range or not of
 * its type; -ENOSPC: more peers or results than there is room for. On failure *ret_at is the offset of the
 * offending `key=value`, and the trace is partly filled. */
int trace_parse(const char *line, struct trace *trace, size_t *ret_at);

/* Sets one field by its `key=value`; errors as above. trace_set() takes every key of a line, the others take
 * the keys of a peer (`score=3400`) and of the policy (`loop=10000`) without their prefixes. */
int trace_set(struct trace *trace, const char *token);
int trace_set_peer(struct peer *peer, const char *token);
int trace_set_policy(struct policy *policy, const char *token);
