/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which names, addresses, keys and hashes may go to an appliance. Asks nobody whether they are
 * reached. Called by deployment for single answers, and by cloud_init.c for all of them. */
#include "deploy/cloud_init_check.h"

#include <arpa/inet.h>
#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "util/cleanup.h"

#define HASH_KIND "$6$"
#define HASH_ROUNDS 100000
#define PASSWORD_MAX 256
#define KEY_MAX 16384
#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

CLEANUP_DEFINE(json_t *, json_decref)

__attribute__((format(printf, 2, 3))) static int wrong(char ret_why[CLOUD_INIT_WHY_SIZE], const char *format,
						       ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret_why, CLOUD_INIT_WHY_SIZE, format, args);
	va_end(args);
	return -EINVAL;
}

/* UTF-8 without control characters, C1 ones included: a line break of any kind is one. */
static bool is_text(const char *text)
{
	_cleanup_(json_decref_p) json_t *utf8 = json_string(text);

	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < ' ' || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0) ||
		    (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)))
			return false;
	return utf8 != NULL;
}

int cloud_init_hash(const char *password, char ret[CLOUD_INIT_HASH_SIZE])
{
	_cleanup_free_ struct crypt_data *work = calloc(1, sizeof(*work));
	const char *hash;
	int r = 0;

	_Static_assert(CRYPT_OUTPUT_SIZE <= CLOUD_INIT_HASH_SIZE, "a hash fits");
	assert(password && ret);
	if (!password[0] || strlen(password) > PASSWORD_MAX || !is_text(password))
		return -EINVAL;
	if (!work)
		return -ENOMEM;
	if (!crypt_gensalt_rn(HASH_KIND, HASH_ROUNDS, NULL, 0, work->setting, sizeof(work->setting)))
		return -errno;
	hash = crypt_r(password, work->setting, work);
	if (!hash || hash[0] == '*')
		r = -EIO;
	else
		snprintf(ret, CLOUD_INIT_HASH_SIZE, "%s", hash);
	explicit_bzero(work, sizeof(*work));
	return r;
}

int cloud_init_check_fqdn(const char *fqdn, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	size_t labels = 0, length;
	const char *label = fqdn;

	if (strlen(fqdn) > 253)
		return wrong(ret_why, "a name has 253 characters at most");
	for (;; label += length + 1) {
		length = strcspn(label, ".");
		if (length < 1 || length > 63)
			return wrong(ret_why, "each part between the dots has 1 to 63 characters");
		if (strspn(label, LETTERS DIGITS "-") < length || label[0] == '-' || label[length - 1] == '-')
			return wrong(
				ret_why,
				"a name is of letters, digits and `-`, which no part begins or ends with");
		labels++;
		if (!label[length])
			break;
	}
	if (labels < 2)
		return wrong(ret_why, "the whole name is needed, as engine.example.com");
	return strspn(label, DIGITS) == length ? wrong(ret_why, "this is an address, not a name") : 0;
}

struct address {
	int family;
	unsigned bits;	   /* of the family's address */
	uint8_t bytes[16]; /* in the network's order */
};

static bool parse_address(const char *text, struct address *ret)
{
	*ret = (struct address){.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	ret->bits = ret->family == AF_INET6 ? 128 : 32;
	return inet_pton(ret->family, text, ret->bytes) == 1;
}

static bool same_bits(const struct address *a, const struct address *b, unsigned n)
{
	return memcmp(a->bytes, b->bytes, n / 8) == 0 &&
	       (n % 8 == 0 || (a->bytes[n / 8] ^ b->bytes[n / 8]) >> (8 - n % 8) == 0);
}

/* Are all bits from `from` on 0 (or 1)? */
static bool rest_is(const struct address *a, unsigned from, bool one)
{
	for (unsigned bit = from; bit < a->bits; bit++)
		if ((bool)(a->bytes[bit / 8] >> (7 - bit % 8) & 1) != one)
			return false;
	return true;
}

static bool link_local(const struct address *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* Loopback, multicast, "this network": no other host has it. */
static bool of_a_host(const struct address *a)
{
	if (a->family == AF_INET)
		return a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224;
	return a->bytes[0] != 0xff && !rest_is(a, 0, false) &&
	       !(rest_is(a, 127, true) && IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)a->bytes));
}

static int parse_network(const char *text, struct address *ret, unsigned *ret_prefix,
			 char ret_why[CLOUD_INIT_WHY_SIZE])
{
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	char *end;

	if (!slash || (size_t)(slash - text) >= sizeof(host) || !slash[1] || strlen(slash + 1) > 3 ||
	    slash[1 + strspn(slash + 1, DIGITS)])
		return wrong(ret_why, "it is ADDRESS/PREFIX, as 192.0.2.10/24");
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	*ret_prefix = (unsigned)strtoul(slash + 1, &end, 10);
	if (!parse_address(host, ret))
		return wrong(ret_why, "%s is no address", host);
	if (*ret_prefix < 1 || *ret_prefix > ret->bits)
		return wrong(ret_why, "its prefix is from 1 to %u", ret->bits);
	return 0;
}

int cloud_init_check_address(const char *address, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	struct address a;
	unsigned prefix;
	int r = parse_network(address, &a, &prefix, ret_why);

	if (r < 0)
		return r;
	if (!of_a_host(&a) || link_local(&a))
		return wrong(ret_why, "it is an address that no host of a network can have");
	/* The first is the network's and the last goes to all, but in networks of one or two. */
	if (prefix + 1 < a.bits &&
	    (rest_is(&a, prefix, false) || (a.family == AF_INET && rest_is(&a, prefix, true))))
		return wrong(ret_why, "it is the address of the network itself, or of all in it");
	return 0;
}

int cloud_init_check_gateway(const char *gateway, const char *address, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	struct address g, a;
	unsigned prefix;
	int r;

	if (!parse_address(gateway, &g) || !of_a_host(&g))
		return wrong(ret_why, "it is no address of a host");
	if (!address)
		return 0;
	r = parse_network(address, &a, &prefix, ret_why);
	if (r < 0)
		return r;
	if (g.family != a.family || (!link_local(&g) && !same_bits(&g, &a, prefix)))
		return wrong(ret_why, "it is not in the network of %s", address);
	return same_bits(&g, &a, a.bits) ? wrong(ret_why, "it is the engine's own address") : 0;
}

int cloud_init_check_dns(const char *dns, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	struct address a;

	return parse_address(dns, &a) && of_a_host(&a) ? 0 : wrong(ret_why, "it is no address of a host");
}

/* RFC 4648, padded. The number of bytes, or -1. */
static ssize_t base64(const char *text, size_t length, uint8_t *ret)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0, padding = 0;
	uint32_t bits = 0;

	while (length > 0 && padding < 2 && text[length - 1 - padding] == '=')
		padding++;
	if (length == 0 || length % 4 != 0)
		return -1;
	for (size_t i = 0; i < length; i++) {
		const char *at = i < length - padding ? strchr(alphabet, text[i]) : alphabet;

		if (!at)
			return -1;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		if (i % 4 == 3) {
			ret[n++] = (uint8_t)(bits >> 16);
			ret[n++] = (uint8_t)(bits >> 8);
			ret[n++] = (uint8_t)bits;
		}
	}
	return (ssize_t)(n - padding);
}

/* A key is its kind and numbers, each behind its length in 4 bytes (RFC 4253): the first says the kind again,
 * and they fill it. */
static bool key_is(const uint8_t *key, size_t size, const char *kind, size_t kind_length)
{
	size_t parts = 0, at = 0;

	while (size - at >= 4) {
		size_t length = (size_t)key[at] << 24 | (size_t)key[at + 1] << 16 | (size_t)key[at + 2] << 8 |
				key[at + 3];

		at += 4;
		if (length > size - at ||
		    (parts == 0 && (length != kind_length || memcmp(key + at, kind, length) != 0)))
			return false;
		at += length;
		parts++;
	}
	return at == size && parts >= 2;
}

int cloud_init_check_ssh_key(const char *key, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	static const char *const kinds[] = {"ssh-ed25519",
					    "ssh-rsa",
					    "ecdsa-sha2-nistp256",
					    "ecdsa-sha2-nistp384",
					    "ecdsa-sha2-nistp521",
					    "sk-ssh-ed25519@openssh.com",
					    "sk-ecdsa-sha2-nistp256@openssh.com"};
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t kind = strcspn(key, " "), length;
	bool known = false;
	ssize_t n;

	if (strlen(key) > KEY_MAX || !is_text(key))
		return wrong(ret_why, "it is one line of text, %d characters at most", KEY_MAX);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known = known || (strlen(kinds[i]) == kind && strncmp(key, kinds[i], kind) == 0);
	if (!known || !key[kind])
		return wrong(ret_why,
			     "it is a public key as in ~/.ssh/id_ed25519.pub, beginning with its kind");
	length = strcspn(key + kind + 1, " ");
	bytes = malloc(length + 3);
	if (!bytes)
		return -ENOMEM;
	n = base64(key + kind + 1, length, bytes);
	if (n < 0 || !key_is(bytes, (size_t)n, key, kind))
		return wrong(ret_why, "the key is not whole: copy all of the line");
	return 0;
}

static int check_hash(const char *hash, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	if (strncmp(hash, HASH_KIND, strlen(HASH_KIND)) != 0 || crypt_checksalt(hash) != CRYPT_SALT_OK ||
	    strlen(hash) < 90 || strlen(hash) >= CLOUD_INIT_HASH_SIZE || !is_text(hash))
		return wrong(ret_why,
			     "it is no hash of crypt(3) by SHA-512, as mkpasswd -m sha-512 makes it");
	return 0;
}

static int check_mac(const char *mac, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	unsigned parts[6];
	int end = 0;

	if (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x%n", &parts[0], &parts[1], &parts[2], &parts[3], &parts[4],
		   &parts[5], &end) != 6 ||
	    end != 17 || mac[end] || strspn(mac, DIGITS "abcdefABCDEF:") != 17)
		return wrong(ret_why, "it is six bytes in hexadecimal with colons between");
	return 0;
}

/* With the member's name before the reason. */
static int named(const char *name, int r, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	char reason[CLOUD_INIT_WHY_SIZE];

	if (r < 0) {
		memcpy(reason, ret_why, sizeof(reason));
		snprintf(ret_why, CLOUD_INIT_WHY_SIZE, "%s: %.200s", name, reason);
	}
	return r;
}

int cloud_init_check(const struct cloud_init *conf, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	int r;

	if (!conf->instance_id || !conf->instance_id[0] || !is_text(conf->instance_id))
		return wrong(ret_why, "instance id: one line of text");
	r = named("name", conf->fqdn ? cloud_init_check_fqdn(conf->fqdn, ret_why) : wrong(ret_why, "missing"),
		  ret_why);
	if (r == 0)
		r = named("MAC", conf->mac ? check_mac(conf->mac, ret_why) : wrong(ret_why, "missing"),
			  ret_why);
	if (r == 0 && conf->address)
		r = named("address", cloud_init_check_address(conf->address, ret_why), ret_why);
	if (r == 0 && conf->gateway)
		r = named("gateway", cloud_init_check_gateway(conf->gateway, conf->address, ret_why),
			  ret_why);
	for (size_t i = 0; r == 0 && i < CLOUD_INIT_DNS_MAX && conf->dns[i]; i++)
		r = named("DNS", cloud_init_check_dns(conf->dns[i], ret_why), ret_why);
	if (r == 0 && conf->root_hash)
		r = named("password", check_hash(conf->root_hash, ret_why), ret_why);
	if (r == 0 && conf->ssh_key)
		r = named("SSH key", cloud_init_check_ssh_key(conf->ssh_key, ret_why), ret_why);
	return r;
}
