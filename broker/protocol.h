/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the broker and its clients (the agent, hosted-engine) say to each other over libqb IPC. Structs as
 * they stand in memory: both ends are of one build, `version` refuses any other. Every message is checked for
 * its type and exact length before a field is read; strings must end within their array. Reading needs group
 * ovirt-ha, changing needs root or user ovirt-ha. */
#pragma once

#include <qb/qbipc_common.h>

#include "core/machine.h"
#include "metadata/store.h"

#define BROKER_SOCKET                                                                                        \
	"ovirt-ha-broker" /* libqb service name; OVIRT_HA_BROKER_SOCKET in the environment overrides it */
#define PROTOCOL_VERSION 5
#define PROTOCOL_MESSAGE_MAX (1024 * 1024) /* bytes, of any message */
#define PROTOCOL_READER_MAX                                                                                  \
	(256 * 1024) /* what hosted-engine asks for: libqb makes three rings of it per client */
#define BLOCKS_PER_REPLY 50
#define TEXT_MAX 512
#define MOVE_FAILED_MAX 200
#define HOST_NAME_MAX_SIZE 256

/* To the connection that registered as the agent everything comes as an event, answers too, so that its
 * descriptor tells of it and the agent never waits; to all others an answer is libqb's response. */
enum request_kind {
	REQUEST_FACTS = 1, /* agent: -> struct facts_reply */
	REQUEST_PUBLISH,   /* agent: what to write about this host; also its heartbeat -> struct publish_reply
			    */
	REQUEST_AGENT,	   /* agent: registers as the agent and gets events -> struct reply */
	REQUEST_ANSWER,	   /* agent: the end of an EVENT_COMMAND -> struct reply */
	REQUEST_STATUS,	   /* -> struct status_reply */
	REQUEST_BLOCKS,	   /* -> struct blocks_reply: slots from `first_id` on */
	REQUEST_GLOBAL,	   /* set global maintenance; answered when it is safe on storage -> struct reply */
	REQUEST_COMMAND,   /* a command for the agent; answered when the agent did -> struct reply */
	REQUEST_KIND_END
};

enum event_kind {
	EVENT_CHANGED = 101, /* facts changed: ask for them */
	EVENT_COMMAND,	     /* struct command_event */
	EVENT_KIND_END
};

enum command {
	COMMAND_LOCAL_MAINTENANCE_ON =
		1, /* answered when ha.conf is synced and the record says maintenance */
	COMMAND_LOCAL_MAINTENANCE_OFF,
	COMMAND_VM_START,
	COMMAND_VM_START_PAUSED,
	COMMAND_VM_SHUTDOWN,
	COMMAND_VM_POWEROFF,
	COMMAND_VM_MIGRATE,	   /* answered when libvirt has begun it */
	COMMAND_VM_MIGRATE_CANCEL, /* answered at once; the migration ends by itself then */
	COMMAND_KIND_END
};

/* To who ordered a start that had not begun when its end was ordered. */
#define START_WITHDRAWN "VM failed to launch\na shutdown or power-off was ordered before it began"

struct request {
	struct qb_ipc_request_header header; /* id: request_kind; size: of the whole message */
	uint32_t version;
};

struct reply {
	struct qb_ipc_response_header header; /* id: request_kind; error: 0 or -errno */
	char text[TEXT_MAX]; /* for the operator: why, and what to do; empty when all is well */
};

/* REQUEST_FACTS. The peers follow the struct. */
struct facts_reply {
	struct qb_ipc_response_header header;
	struct cluster cluster;
	uint32_t n_peers;
	struct peer peers[];
};

/* REQUEST_PUBLISH: the part of the own record that the agent knows; the broker adds timestamp, generation and
 * timing. */
struct publish_request {
	struct request request;
	uint64_t serial; /* goes back in the answer */
	struct claim
		claim; /* timestamp, generation, io_timeout_s and watchdog_fire_s are the broker's: ignored */
	enum engine_reason engine_reason;
	enum state state;
	enum reason reason;    /* of the last transition */
	mono_t said_at;	       /* in the agent's monotonic clock, which is the broker's too */
	int64_t timeout_in_ms; /* left of the state's timeout, -1: none */
	bool config_shared;    /* field 11 */
	int64_t config_age_ms; /* since the last refresh of the VM's configuration, -1 never */
	bool may_start, can_move, alarm, in_turn, watch_closely;
	struct score
		score; /* `since` and `until` in the agent's monotonic clock, which is the broker's too */
	int32_t memory_mib;
	int32_t copied; /* per mille of the memory that a live migration of ours has copied, -1: none is
			   known */
	char move_failed[MOVE_FAILED_MAX]; /* why the last live migration of ours failed, for an hour, "": it
					      did not */
};

/* Comes when a block with what this request said, or with something newer, was written, or could not be. */
struct publish_reply {
	struct qb_ipc_response_header header;
	uint64_t serial;		 /* this and all before it are answered */
	char target[HOST_NAME_MAX_SIZE]; /* of the host that the record names as migrating_to, as its own
					    record has it; "": none, or it has no readable one */
};

/* REQUEST_STATUS */
struct status_reply {
	struct qb_ipc_response_header header;
	struct cluster cluster;
	struct store_health store;
	struct publish_request published; /* the agent's last */
	mono_t now;			  /* the broker's clock when it answered */
	mono_t published_at;		  /* MONO_UNSET: no agent yet */
	bool agent_connected;
	char hostname[256];
	char trouble[TEXT_MAX]; /* what is wrong in words, "" nothing: `storage: write stuck for 12 s` */
};

/* REQUEST_BLOCKS: block 0 and the slots in use, as last read, by rising id. */
struct blocks_request {
	struct request request;
	uint32_t first_id; /* 0.. */
};

struct slot_block {
	uint32_t id;
	bool fresh;	   /* as peer_fresh() says; the own block: the agent is alive */
	mono_t read_at;	   /* when these bytes were read */
	mono_t changed_at; /* when the record's timestamp last changed */
	uint8_t block[BLOCK_SIZE];
};

struct blocks_reply {
	struct qb_ipc_response_header header;
	uint32_t n_blocks; /* up to BLOCKS_PER_REPLY */
	uint32_t next_id;  /* to ask for next, 0: that was all */
	struct slot_block blocks[];
};

struct global_request {
	struct request request;
	bool maintenance;
};

struct command_request {
	struct request request;
	enum command command;
	char argument[TEXT_MAX]; /* --vm-conf=F of VM_START, host id of VM_MIGRATE ("": the best), else "" */
};

struct command_event {
	struct qb_ipc_response_header header; /* id: EVENT_COMMAND */
	uint64_t ticket;		      /* goes back in the answer */
	enum command command;
	char argument[TEXT_MAX];
};

struct answer_request {
	struct request request;
	uint64_t ticket;
	int32_t error; /* 0 or -errno */
	char text[TEXT_MAX];
};
