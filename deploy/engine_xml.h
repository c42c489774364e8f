/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine VM's definition as deployment first writes it, in libvirt's words. It has no lease and no
 * on_lockfailure: the agent puts in both at every start (daemon/domain_xml.h), since where the lease is may
 * change. Pure text but for the secret. Called by deployment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_XML_WHY_SIZE 256
#define ENGINE_XML_SECRET_SIZE 9 /* with the NUL: VNC takes 8 */
#define ENGINE_XML_NAME "HostedEngine"

struct engine_vm {
	const char *name;    /* 1..255 bytes of UTF-8 without control characters and `/`: ENGINE_XML_NAME */
	const char *uuid;    /* the configured vmid */
	uint32_t cpus;	     /* 1..710 */
	uint32_t memory_mib; /* 128..16777216 */
	const char *machine; /* QEMU's, of letters, digits, `.`, `_`, `-`; NULL: q35 */
	const char *cpu;     /* a named model, which every host must have; NULL: the host's own */
	bool emulated;	     /* no KVM: slow, for tests */
	const char *disk;    /* absolute path, as in hosted-engine.conf's disk_path, 1023 bytes at most */
	bool disk_block;     /* it is a block device */
	const char *iso;     /* absolute; NULL: none. A host that does not have it starts the VM without. */
	const char *mac;     /* of a single station: 52:54:00:.. */
	const char *bridge;  /* 1..15 letters, digits, `.`, `_`, `-`; of every host */
	/* A display by VNC; without, there is the serial console alone, which is there in any case. It
	 * listens on vnc_listen, an address (NULL: 0.0.0.0), and takes no password until `hosted-engine
	 * --add-console-password` gives one: `secret` has expired when the VM starts, and is there since QEMU
	 * sets up no password later for a display that began without. */
	bool vnc;
	const char *vnc_listen;
	const char *secret; /* engine_xml_secret()'s; needed with vnc */
};

/* 8 random letters and digits. 0 or -errno. */
int engine_xml_secret(char ret[ENGINE_XML_SECRET_SIZE]);

/* A MAC of QEMU's range, 52:54:00 and three random bytes. 0 or -errno. */
int engine_xml_mac(char ret[18]);

/* 0 and *ret, the XML for free(); -EINVAL with the member and what is wrong in `ret_why`; -ENOMEM. The same
 * input gives the same bytes. Does not block. */
int engine_xml_format(const struct engine_vm *vm, char **ret, char ret_why[ENGINE_XML_WHY_SIZE]);

/* The definition of an engine that lives on, for another disk: its one disk that is written to gets this
 * path and is raw, and a lease that it names goes, since the agent puts in the one of the new storage. All
 * else stays. 0 and *ret for free(); -EBADMSG no XML; -EINVAL no domain of this uuid, or one without or with
 * several such disks, with the reason in `ret_why`; -ENOMEM. Does not block. */
int engine_xml_move(const char *text, size_t length, const char *uuid, const char *disk, bool block,
		    char **ret, char ret_why[ENGINE_XML_WHY_SIZE]);
/* The MAC of a definition's first network card. False: it has none, or is no XML. */
bool engine_xml_card(const char *text, size_t length, char ret[18]);
