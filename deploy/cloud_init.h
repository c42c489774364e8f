/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fresh appliance is told at its first boot: a disc labelled `cidata` as cloud-init's NoCloud source
 * reads it, with name, network, root's password hash and key. Called by deployment. No plain password comes
 * in here but to be hashed. Nothing is logged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CLOUD_INIT_WHY_SIZE 256
#define CLOUD_INIT_HASH_SIZE 384 /* of crypt(3), with the NUL */
#define CLOUD_INIT_DNS_MAX 3	 /* a resolver takes no more */

struct cloud_init {
	const char *instance_id; /* the VM's uuid: cloud-init runs once for each */
	const char *fqdn; /* the engine's: labels of letters, digits, `-`; at least one dot, 253 bytes */
	const char *mac;  /* of the VM's one network card, which the addresses are for */
	/* ADDRESS/PREFIX, IPv4 or IPv6, one that a host can have; NULL: DHCP. Gateway and DNS may be there
	 * with either; a gateway is in the address's network (or a link-local one of IPv6). */
	const char *address;
	bool dhcp6;			     /* with DHCP: of IPv6 alone, else of IPv4 */
	const char *gateway;		     /* NULL: none, or DHCP's */
	const char *dns[CLOUD_INIT_DNS_MAX]; /* addresses; NULL where there is no more */
	const char *root_hash;		     /* as cloud_init_hash() makes it; NULL: no login by password */
	const char *ssh_key; /* root's, one line as ssh-keygen(1) writes it, without options; NULL: none */
};

/* A password of 1..256 bytes without control characters becomes a salted hash for root_hash, SHA-512
 * of crypt(3): the strongest that every cloud-init takes for a hash and not for a password. 0; -EINVAL empty,
 * too long, or with control characters or bytes that are not UTF-8; or -errno of the random number generator.
 * Takes some 100 ms. The caller erases `password`. */
int cloud_init_hash(const char *password, char ret[CLOUD_INIT_HASH_SIZE]);

/* Single answers, as they are asked for: 0, or -EINVAL with what is wrong in `ret_why`, without "must" and
 * with the value's rule. Text is UTF-8; a control character, so a line break too, is refused everywhere. */
int cloud_init_check_fqdn(const char *fqdn, char ret_why[CLOUD_INIT_WHY_SIZE]);
int cloud_init_check_address(const char *address, char ret_why[CLOUD_INIT_WHY_SIZE]); /* ADDRESS/PREFIX */
int cloud_init_check_gateway(const char *gateway, const char *address, char ret_why[CLOUD_INIT_WHY_SIZE]);
int cloud_init_check_dns(const char *dns, char ret_why[CLOUD_INIT_WHY_SIZE]);
int cloud_init_check_ssh_key(const char *key, char ret_why[CLOUD_INIT_WHY_SIZE]);

/* The three files of the disc, for free() each; the same input gives the same bytes. */
struct cloud_init_files {
	char *meta_data, *network_config, *user_data;
};

/* 0; -EINVAL with the field and the reason; -ENOMEM. Does not block. */
int cloud_init_files(const struct cloud_init *conf, struct cloud_init_files *ret,
		     char ret_why[CLOUD_INIT_WHY_SIZE]);
void cloud_init_files_done(struct cloud_init_files *files);

/* The disc as a file, the same but for the time in it: mode 0600, whole or not at all and durable; an old one
 * is replaced. 0, or -errno with the reason: as cloud_init_files(), or as the file system gave it. Blocks on
 * the file. */
int cloud_init_write(const struct cloud_init *conf, const char *path, char ret_why[CLOUD_INIT_WHY_SIZE]);
