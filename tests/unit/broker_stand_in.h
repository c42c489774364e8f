/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stand-in for the broker, for tests of its clients: a process that answers by a script over the real IPC
 * and keeps what it was asked. It serves the name in OVIRT_HA_BROKER_SOCKET. */
#pragma once

#include <sys/types.h>

#include "broker/protocol.h"

struct script {
	bool no_agent;
	enum flag maintenance;
	int status_error, global_error, command_error;
	const char *global_text, *command_text, *trouble;
	unsigned here_for;    /* status answers with the VM here; then it is elsewhere */
	unsigned free_for;    /* between the two: answers with the VM nowhere */
	unsigned n_hosts;     /* 0: one */
	const uint8_t *block; /* every host's */
};

/* Serves once it returns; -1: it can't. */
pid_t broker_stand_in_start(const struct script *with);
/* 0 when it ended well. */
int broker_stand_in_stop(pid_t pid);
/* A word per request since the start, of whatever stand-in. */
const char *broker_stand_in_asked(void);
