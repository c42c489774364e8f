/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls that may hang in libvirt, as jobs for util/worker.h, and libvirt's event loop. For libvirt_port.c
 * alone. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/libvirt_port.h"
#include "util/worker.h"

#define LIBVIRT_WHY_MAX 512

struct _virConnect;
struct line;

enum libvirt_event {
	LIBVIRT_OTHER, /* something about the engine's domain: look */
	LIBVIRT_STOPPED,
	LIBVIRT_RESUMED,
	LIBVIRT_SUSPENDED,
	LIBVIRT_MIGRATES, /* its memory is being copied: once a pass, so once before anything is */
	LIBVIRT_CLOSED,	  /* the connection is lost */
};

/* From libvirt's event thread, through a pipe. */
struct libvirt_message {
	uint32_t connection; /* which one; those of older ones are to be ignored */
	enum libvirt_event kind;
	enum domain_end end; /* of STOPPED */
	enum pause pause;    /* of SUSPENDED */
};

/* Of a connection's events; -1: none. */
struct libvirt_callbacks {
	int lifecycle, passes;
};
#define LIBVIRT_NO_CALLBACKS ((struct libvirt_callbacks){-1, -1})

/* One job of a line. The thread owns it while it runs, but for `abandoned`. Zeroed, then filled in by the
 * loop. */
struct libvirt_call {
	struct job job; /* first; run and destroy are the two functions below */
	atomic_bool
		abandoned;  /* set by the loop when it gives up: the thread ends what it began and closes */
	struct line *line;  /* the loop's own */
	enum action action; /* ACTION_NONE: a look */
	struct libvirt_config config;
	char argument[PATH_MAX]; /* a start: the file with the XML; a migration: the target's name */
	bool migrates;		 /* a look: a migration may be under way, see whether and how far it is */
	struct _virConnect *connection;	    /* in and out */
	bool close_first;		    /* it is known to be dead */
	int event_fd;			    /* a look that connects: for its messages, else -1; owned */
	uint32_t number;		    /* a look: of the connection that it makes */
	bool connected;			    /* out: it made one */
	struct libvirt_callbacks callbacks; /* in and out */
	struct domain_view view;	    /* out: of a look; `leaving` in and out */
	enum outcome outcome;		    /* out */
	char why[LIBVIRT_WHY_MAX];	    /* out, when not OUTCOME_OK */
};

/* Why the call has failed: libvirt's last error of this thread, after `what`; or in our words. */
void libvirt_fail(struct libvirt_call *call, const char *what);
__attribute__((format(printf, 3, 4))) void libvirt_refuse(struct libvirt_call *call, enum outcome outcome,
							  const char *format, ...);

/* In the worker's thread; blocks for as long as libvirtd hangs. */
void libvirt_call_run(struct job *job);
/* Frees the call, not the connection. Does not block. */
void libvirt_call_destroy(struct job *job);

/* The process's one event thread. 0 or -errno. To be started before the first call. */
int libvirt_events_start(void);
void libvirt_events_stop(void);
