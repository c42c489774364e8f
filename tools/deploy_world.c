/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whether an answer that is right as a text is right here, and what is offered. It changes nothing
 * but that the storage is connected, to see what is on it. */
#include "tools/deploy_world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/engine_xml.h"
#include "metadata/global.h"
#include "tools/conf_volume.h"
#include "tools/host_outside.h"
#include "util/engine_conf.h"

#define NET "/sys/class/net"

CLEANUP_DEFINE(DIR *, closedir)

static int __attribute__((format(printf, 3, 4)))
refuse(char what[DIALOGUE_LINE_SIZE], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(what, DIALOGUE_LINE_SIZE, format, args);
	va_end(args);
	return error;
}

static bool is_bridge(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), NET "/%.200s/bridge", name);
	return access(path, F_OK) == 0;
}

static bool default_route4(char ret_device[IFNAMSIZ], char ret_gateway[INET6_ADDRSTRLEN])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/net/route", "re");
	unsigned destination, gateway;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%15s %x %x", ret_device, &destination, &gateway) == 3 && destination == 0)
			return inet_ntop(AF_INET, &gateway, ret_gateway, INET6_ADDRSTRLEN);
	return false;
}

static bool default_route6(char ret_device[IFNAMSIZ], char ret_gateway[INET6_ADDRSTRLEN])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/net/ipv6_route", "re");
	char line[256], hex[33];
	struct in6_addr gateway;
	unsigned prefix, flags;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*32s %x %*32s %*x %32s %*x %*x %*x %x %15s", &prefix, hex, &flags,
			   ret_device) != 4 ||
		    prefix != 0 || !(flags & RTF_GATEWAY))
			continue;
		for (size_t i = 0; i < sizeof(gateway); i++)
			sscanf(hex + 2 * i, "%2hhx", &gateway.s6_addr[i]);
		/* One of the link alone can't be pinged by its address. */
		if (!IN6_IS_ADDR_LINKLOCAL(&gateway))
			return inet_ntop(AF_INET6, &gateway, ret_gateway, INET6_ADDRSTRLEN);
	}
	return false;
}

static bool default_route(unsigned ip_version, char ret_device[IFNAMSIZ], char ret_gateway[INET6_ADDRSTRLEN])
{
	return (ip_version != 6 && default_route4(ret_device, ret_gateway)) ||
	       (ip_version != 4 && default_route6(ret_device, ret_gateway));
}

static bool first_bridge(char ret[IFNAMSIZ])
{
	_cleanup_(closedir_p) DIR *folder = opendir(NET);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && is_bridge(entry->d_name) &&
		    strncmp(entry->d_name, "virbr", 5) != 0) {
			snprintf(ret, IFNAMSIZ, "%.15s", entry->d_name);
			return true;
		}
	return false;
}

static int suggest_uuid(struct answers *answers, enum answer which)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/random/uuid", "re");
	char uuid[UUID_SIZE];

	if (!file || !fgets(uuid, sizeof(uuid), file))
		return -EIO;
	return answer_suggest(answers, which, uuid);
}

int deploy_world_suggest(struct answers *answers)
{
	char device[IFNAMSIZ] = "", gateway[INET6_ADDRSTRLEN] = "", mac[18];
	int r = engine_xml_mac(mac);

	if (r == 0)
		r = answer_suggest(answers, ANSWER_MAC, mac);
	if (r == 0)
		r = suggest_uuid(answers, ANSWER_VMID);
	if (r == 0)
		r = suggest_uuid(answers, ANSWER_DOMAIN);
	if (r == 0 && default_route(answers->ip_version, device, gateway))
		r = answer_suggest(answers, ANSWER_GATEWAY, gateway);
	if (r == 0 && (is_bridge(device) || first_bridge(device)))
		r = answer_suggest(answers, ANSWER_BRIDGE, device);
	if (r < 0)
		fprintf(stderr, "No defaults can be made for the questions: %s\n", strerror(-r));
	return r;
}

static void place_of(const struct domain *domain, enum domain_area area, struct place *ret)
{
	snprintf(ret->path, sizeof(ret->path), "%.1000s", domain->areas[area].path);
	ret->offset = domain->areas[area].offset;
}

/* The lowest id without a record. Who else deploys at this moment is seen when it joins. */
static int first_free(const struct domain *domain, uint16_t *ret)
{
	_cleanup_free_ struct engine_conf *conf = calloc(1, sizeof(*conf));
	uint8_t block[BLOCK_SIZE];

	if (!conf)
		return -ENOMEM;
	place_of(domain, AREA_METADATA, &conf->metadata);
	for (uint16_t id = 1; id <= HOST_ID_LIMIT; id++) {
		int r = whiteboard_read(conf, id, block);

		if (r < 0)
			return r;
		if (block[0] == '\0') {
			*ret = id;
			return 0;
		}
	}
	return -ENOSPC;
}

/* What the cluster uses already is suggested here, too. */
static int take_shared(struct deployment *deployment)
{
	static const enum answer taken[] = {ANSWER_BRIDGE,	ANSWER_GATEWAY,	 ANSWER_NETWORK_TEST,
					    ANSWER_TCP_ADDRESS, ANSWER_TCP_PORT, ANSWER_REQUIRE_WATCHDOG};
	const struct conf_text *text = &deployment->archive.texts[CONF_ENTRY_HOSTED_ENGINE];
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = keyfile_parse("hosted-engine.conf", text->text, text->length, false, &file, NULL);

	for (size_t i = 0; r == 0 && i < sizeof(taken) / sizeof(taken[0]); i++) {
		const char *value = keyfile_get(file, "", answer_rows[taken[i]].setting);

		if (value)
			r = answer_suggest(&deployment->answers, taken[i], value);
	}
	return r;
}

static int look_further(struct deployment *deployment, char what[DIALOGUE_LINE_SIZE])
{
	struct answers *answers = &deployment->answers;
	char cause[CONF_CAUSE_SIZE], number[16];
	struct place place;
	uint16_t id = 0;
	int r;

	if (answers->restored)
		return refuse(
			what, -EINVAL,
			"The storage has a domain, and an engine is restored to storage without one: give "
			"other storage, or storage_force=yes in an answer file, which loses what is there");
	place_of(&deployment->domain, AREA_CONF, &place);
	conf_archive_done(&deployment->archive);
	r = conf_volume_load(&place, &deployment->archive, cause);
	if (r == -ENODATA)
		return refuse(
			what, -EINVAL,
			"The domain there has no configuration: its deployment is under way or was broken "
			"off; where it was, run hosted-engine-cleanup");
	if (r < 0)
		return refuse(what, -EINVAL, "The configuration of the domain there can't be read: %s",
			      cause[0] ? cause : strerror(-r));
	r = take_shared(deployment);
	if (r == 0)
		r = first_free(&deployment->domain, &id);
	if (r < 0)
		return refuse(what, r, "The whiteboard of the domain there gives no host id: %s",
			      strerror(-r));
	snprintf(number, sizeof(number), "%u", id);
	answers->further = true;
	r = answer_set(answers, ANSWER_DOMAIN, deployment->domain.identity.domain);
	return r < 0 ? r : answer_suggest(answers, ANSWER_HOST_ID, number);
}

/* The folder of a domain has its uuid for a name, which is known once it was read. */
static int connect_by(struct deployment *deployment, const char *uuid, char what[DIALOGUE_LINE_SIZE])
{
	int r = answer_set(&deployment->answers, ANSWER_DOMAIN, uuid);

	if (r == 0)
		r = deployment_connect(deployment);
	if (r < 0)
		(void)deployment_disconnect(deployment);
	return r < 0 ? refuse(what, -EINVAL, "%s", deployment->reason) : 0;
}

/* The VM's disk is an area of it, and an area of a plain file has no device that QEMU could be given. */
static int check_place(const struct answers *answers, const char *path, char what[DIALOGUE_LINE_SIZE])
{
	struct stat st;

	if (!answer_is(answers, ANSWER_STORAGE_TYPE, "path") || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0; /* what is not there is said when it is looked at */
	return refuse(what, -EINVAL, "'%.400s' is a plain file: give a folder, or a block device", path);
}

static int look_at_storage(struct deployment *deployment, char what[DIALOGUE_LINE_SIZE])
{
	struct answers *answers = &deployment->answers;
	char path[PATH_MAX], why[DOMAIN_WHY_SIZE], wrong[ANSWER_WHAT_SIZE];
	int r = 0;

	if (!journal_empty(deployment->journal))
		r = deployment_disconnect(deployment);
	if (r < 0)
		return refuse(what, r, "%s", deployment->reason);
	answers->further = false;
	/* It names a folder before its own turn comes. */
	if (answer_check(answers, ANSWER_DOMAIN, answer_get(answers, ANSWER_DOMAIN), wrong) < 0)
		return refuse(what, -EINVAL, "domain: '%.100s' %s", answer_get(answers, ANSWER_DOMAIN),
			      wrong);
	if (!deployment->uuid[0])
		snprintf(deployment->uuid, sizeof(deployment->uuid), "%.36s",
			 answer_get(answers, ANSWER_DOMAIN));
	r = connect_by(deployment, deployment->uuid, what);
	if (r < 0)
		return r;
	deployment_place(deployment, path);
	r = domain_read(path, 0, &deployment->domain, why);
	if (r == -ENODATA || r == -EBADMSG || (r == 0 && answer_is(answers, ANSWER_STORAGE_FORCE, "yes")))
		return 0; /* the first host; what else is there keeps the domain from being laid out */
	if (r < 0)
		return refuse(what, -EINVAL, "%s", why);
	if (strcasecmp(deployment->domain.identity.domain, answer_get(answers, ANSWER_DOMAIN)) != 0) {
		r = deployment_disconnect(deployment);
		if (r < 0)
			return refuse(what, r, "%s", deployment->reason);
		r = connect_by(deployment, deployment->domain.identity.domain, what);
		if (r < 0)
			return r;
		deployment_place(deployment, path);
		r = domain_read(path, 0, &deployment->domain, why);
		if (r < 0)
			return refuse(what, -EINVAL, "%s", why);
	}
	return look_further(deployment, what);
}

static int check_host_id(struct deployment *deployment, char what[DIALOGUE_LINE_SIZE])
{
	_cleanup_free_ struct engine_conf *conf = calloc(1, sizeof(*conf));
	const char *id = answer_get(&deployment->answers, ANSWER_HOST_ID);
	uint8_t block[BLOCK_SIZE];
	int r;

	if (!conf)
		return -ENOMEM;
	place_of(&deployment->domain, AREA_METADATA, &conf->metadata);
	r = whiteboard_read(conf, (uint32_t)strtoul(id, NULL, 10), block);
	if (r < 0)
		return refuse(what, r, "The whiteboard can't be read: %s", strerror(-r));
	return block[0] == '\0' ? 0
				: refuse(what, -EINVAL,
					 "Host id %s is in use, or was: hosted-engine --clean-metadata on "
					 "another host frees it",
					 id);
}

static int check_fqdn(const struct answers *answers, const char *fqdn, char what[DIALOGUE_LINE_SIZE])
{
	static const int families[] = {[0] = AF_UNSPEC, [4] = AF_INET, [6] = AF_INET6};
	const struct addrinfo hints = {.ai_family = families[answers->ip_version]};
	struct addrinfo *found;
	int r = getaddrinfo(fqdn, NULL, &hints, &found);

	if (r != 0)
		return refuse(what, -EINVAL,
			      "'%s' does not resolve to an address%s: %s; enter it in DNS or /etc/hosts",
			      fqdn,
			      answers->ip_version == 4	 ? " of IPv4"
			      : answers->ip_version == 6 ? " of IPv6"
							 : "",
			      gai_strerror(r));
	freeaddrinfo(found);
	return 0;
}

static uint64_t memory_mib(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
}

static int suggest_number(struct answers *answers, enum answer which, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return number > 0 ? answer_suggest(answers, which, text) : 0;
}

static int look_at_appliance(struct deployment *deployment, char what[DIALOGUE_LINE_SIZE])
{
	struct answers *answers = &deployment->answers;
	struct appliance *appliance = &deployment->appliance;
	char why[APPLIANCE_WHY_SIZE];
	int r = appliance_look(answer_get(answers, ANSWER_APPLIANCE), appliance, why);

	if (r < 0)
		return refuse(what, -EINVAL, "%s", why);
	r = suggest_number(answers, ANSWER_VCPUS, appliance->cpus);
	if (r == 0)
		r = suggest_number(answers, ANSWER_MEMORY, appliance->memory_mib);
	if (r == 0)
		r = suggest_number(answers, ANSWER_DISK_SIZE, (appliance->disk_size + (1 << 30) - 1) >> 30);
	return r;
}

static int check_most(const struct answers *answers, enum answer which, uint64_t most, const char *unit,
		      char what[DIALOGUE_LINE_SIZE])
{
	uint64_t number = strtoull(answer_get(answers, which), NULL, 10);

	return number <= most ? 0
			      : refuse(what, -EINVAL, "%llu is more than the %llu %s of this host",
				       (unsigned long long)number, (unsigned long long)most, unit);
}

static int check_disk(const struct deployment *deployment, char what[DIALOGUE_LINE_SIZE])
{
	uint64_t size = strtoull(answer_get(&deployment->answers, ANSWER_DISK_SIZE), NULL, 10) << 30;

	return size >= deployment->appliance.disk_size
		       ? 0
		       : refuse(what, -EINVAL, "The appliance's disk has %llu bytes: give %llu GiB at least",
				(unsigned long long)deployment->appliance.disk_size,
				(unsigned long long)(deployment->appliance.disk_size + (1 << 30) - 1) >> 30);
}

int deploy_world_learn(void *data, enum answer which, struct answers *answers, char what[DIALOGUE_LINE_SIZE])
{
	struct deployment *deployment = data;
	const char *value = answer_get(answers, which);

	switch (which) {
	case ANSWER_STORAGE:
		return check_place(answers, value, what);
	case ANSWER_STORAGE_FORCE:
		return look_at_storage(deployment, what);
	case ANSWER_HOST_ID:
		return check_host_id(deployment, what);
	case ANSWER_BRIDGE:
		return is_bridge(value) ? 0
					: refuse(what, -EINVAL,
						 "'%s' is no bridge of this host; see `ip link`", value);
	case ANSWER_FQDN:
		return check_fqdn(answers, value, what);
	case ANSWER_APPLIANCE:
		return look_at_appliance(deployment, what);
	case ANSWER_VCPUS:
		return check_most(answers, which, (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), "processors",
				  what);
	case ANSWER_MEMORY:
		return check_most(answers, which, memory_mib(), "MiB of memory", what);
	case ANSWER_DISK_SIZE:
		return check_disk(deployment, what);
	default:
		return 0;
	}
}
