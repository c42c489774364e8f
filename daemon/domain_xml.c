/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judges and completes the engine domain's XML (safety rule 1): a domain that could run without the engine
 * lease, or whose loss of the lease would not end it, is refused. Touches neither files nor the network.
 * Called by libvirt_port.c and local_files.c. */
#include "daemon/domain_xml.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <libxml/tree.h>

#include "util/cleanup.h"
#include "util/xml_read.h"

#define DEPTH_MAX 64 /* libvirt's own schema is 8 deep */

CLEANUP_DEFINE(xmlDocPtr, xmlFreeDoc)

static void cleanup_xml_text(xmlChar **text)
{
	if (*text)
		xmlFree(*text);
}

__attribute__((format(printf, 2, 3))) static int refuse(char why[DOMAIN_WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DOMAIN_WHY_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static int parse(const char *text, size_t length, xmlDocPtr *ret, char why[DOMAIN_WHY_MAX])
{
	char reason[XML_READ_WHY_SIZE];
	int r;

	if (length > DOMAIN_XML_MAX) {
		refuse(why, "the domain's XML has %zu bytes, more than %d", length, DOMAIN_XML_MAX);
		return -EFBIG;
	}
	r = xml_read(text, length, ret, reason);
	if (r < 0)
		refuse(why, "the domain's XML %s", reason);
	return r;
}

static bool is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* Elements of that name among the children; the first one, or NULL, goes to *ret_first. */
static unsigned children(const xmlNode *parent, const char *name, xmlNodePtr *ret_first)
{
	unsigned n = 0;

	if (ret_first)
		*ret_first = NULL;
	for (xmlNodePtr node = parent->children; node; node = node->next)
		if (is(node, name) && n++ == 0 && ret_first)
			*ret_first = node;
	return n;
}

static bool text_is(const xmlNode *node, const char *wanted, bool fold_case)
{
	_cleanup_(cleanup_xml_text) xmlChar *text = xmlNodeGetContent(node);

	if (!text)
		return false;
	return fold_case ? strcasecmp((const char *)text, wanted) == 0
			 : strcmp((const char *)text, wanted) == 0;
}

static bool attribute_is(const xmlNode *node, const char *name, const char *wanted)
{
	_cleanup_(cleanup_xml_text) xmlChar *text = xmlGetNoNsProp(node, (const xmlChar *)name);

	return text && strcmp((const char *)text, wanted) == 0;
}

static bool lease_is(const xmlNode *node, const struct domain_lease *lease)
{
	_cleanup_(cleanup_xml_text) xmlChar *offset = NULL;
	xmlNodePtr lockspace, key, target;
	char number[24];

	if (children(node, "lockspace", &lockspace) != 1 || children(node, "key", &key) != 1 ||
	    children(node, "target", &target) != 1)
		return false;
	snprintf(number, sizeof(number), "%" PRIu64, lease->offset);
	/* libvirt leaves an offset of 0 out. */
	offset = xmlGetNoNsProp(target, (const xmlChar *)"offset");
	return text_is(lockspace, lease->lockspace, false) && text_is(key, lease->key, false) &&
	       attribute_is(target, "path", lease->path) &&
	       strcmp(offset ? (const char *)offset : "0", number) == 0;
}

/* Safety rule 1: libvirt's require_lease_for_disks looks at writable disks only; one that is declared
 * read-only or shareable passes it, and the second also switches QEMU's own image lock off. No domain's
 * system disk needs either. */
static int check_disk(const xmlNode *disk, char why[DOMAIN_WHY_MAX])
{
	bool is_disk = !attribute_is(disk, "device", "cdrom") && !attribute_is(disk, "device", "floppy");

	if (children(disk, "shareable", NULL) > 0)
		return refuse(why, "a <disk> is <shareable>: it could be written by two hosts");
	if (is_disk && children(disk, "readonly", NULL) > 0)
		return refuse(why, "a <disk> is <readonly>: it would not be guarded by the lease");
	return 0;
}

/* Looks at every element, at any depth: an element where libvirt doesn't expect it is none of ours to
 * explain. */
static int check_tree(const xmlNode *parent, unsigned depth, unsigned *n_leases, char why[DOMAIN_WHY_MAX])
{
	if (depth > DEPTH_MAX)
		return refuse(why, "elements are nested deeper than %d", DEPTH_MAX);
	for (const xmlNode *node = parent->children; node; node = node->next) {
		int r;

		if (node->type == XML_ENTITY_REF_NODE)
			return refuse(why, "it refers to an entity");
		if (node->type != XML_ELEMENT_NODE)
			continue;
		/* QEMU arguments of their own can add a disk that no lease guards. */
		if (node->ns && strstr((const char *)node->ns->href, "libvirt.org/schemas/domain/qemu"))
			return refuse(why, "<qemu:%s> is not allowed for the engine",
				      (const char *)node->name);
		if (is(node, "lease"))
			++*n_leases;
		if (is(node, "disk")) {
			r = check_disk(node, why);
			if (r < 0)
				return r;
		}
		r = check_tree(node, depth + 1, n_leases, why);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What holds for the configured and the live domain; the lease, if there is one, must be ours. */
static int check_domain(xmlDocPtr doc, const char *uuid, const struct domain_lease *lease,
			xmlNodePtr *ret_devices, unsigned *ret_leases, char why[DOMAIN_WHY_MAX])
{
	xmlNodePtr root = xmlDocGetRootElement(doc), name, id, devices, found;
	unsigned leases = 0;
	int r;

	if (!root || !is(root, "domain"))
		return refuse(why, "its root is not <domain>");
	if (children(root, "name", &name) != 1 || text_is(name, "", false))
		return refuse(why, "it needs one <name>");
	if (children(root, "uuid", &id) != 1)
		return refuse(why, "it needs one <uuid>, the configured vmid %s", uuid);
	if (!text_is(id, uuid, true))
		return refuse(why, "its <uuid> is not the configured vmid %s", uuid);
	if (children(root, "devices", &devices) != 1)
		return refuse(why, "it needs one <devices>");
	r = check_tree(root, 0, &leases, why);
	if (r < 0)
		return r;
	if (leases > 1)
		return refuse(why, "it has %u <lease> elements", leases);
	if (leases == 1 && (children(devices, "lease", &found) != 1 || !lease_is(found, lease)))
		return refuse(why, "its <lease> is not the engine's: %s of lockspace %s in %s at %" PRIu64,
			      lease->key, lease->lockspace, lease->path, lease->offset);
	*ret_devices = devices;
	*ret_leases = leases;
	return 0;
}

static int add_lease(xmlNodePtr devices, const struct domain_lease *lease)
{
	xmlNodePtr node = xmlNewChild(devices, NULL, (const xmlChar *)"lease", NULL), target;
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, lease->offset);
	if (!node ||
	    !xmlNewTextChild(node, NULL, (const xmlChar *)"lockspace", (const xmlChar *)lease->lockspace) ||
	    !xmlNewTextChild(node, NULL, (const xmlChar *)"key", (const xmlChar *)lease->key))
		return -ENOMEM;
	target = xmlNewChild(node, NULL, (const xmlChar *)"target", NULL);
	if (!target || !xmlNewProp(target, (const xmlChar *)"path", (const xmlChar *)lease->path) ||
	    !xmlNewProp(target, (const xmlChar *)"offset", (const xmlChar *)number))
		return -ENOMEM;
	return 0;
}

/* Safety rule 1: `ignore` would let it run on without the lease and `pause` keep what must be gone. */
static int set_poweroff(xmlNodePtr root)
{
	for (xmlNodePtr node = root->children, next; node; node = next) {
		next = node->next;
		if (is(node, "on_lockfailure")) {
			xmlUnlinkNode(node);
			xmlFreeNode(node);
		}
	}
	return xmlNewTextChild(root, NULL, (const xmlChar *)"on_lockfailure", (const xmlChar *)"poweroff")
		       ? 0
		       : -ENOMEM;
}

/* MiB, rounded up; 0: not given or not a number that makes sense. */
static int32_t memory_mib(xmlNodePtr root)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = {{"b", 1},		 {"bytes", 1},	  {"KB", 1000},	    {"k", 1024},
		     {"KiB", 1024},	 {"MB", 1000000}, {"M", 1 << 20},   {"MiB", 1 << 20},
		     {"GB", 1000000000}, {"G", 1 << 30},  {"GiB", 1 << 30}, {"T", 1ULL << 40},
		     {"TiB", 1ULL << 40}};
	_cleanup_(cleanup_xml_text) xmlChar *unit = NULL, *text = NULL;
	uint64_t bytes_per = 1024, number, bytes;
	xmlNodePtr node;
	char *end;

	if (children(root, "memory", &node) != 1)
		return 0;
	text = xmlNodeGetContent(node);
	unit = xmlGetNoNsProp(node, (const xmlChar *)"unit");
	if (unit) {
		bytes_per = 0;
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strcmp(units[i].unit, (const char *)unit) == 0)
				bytes_per = units[i].bytes;
	}
	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	number = strtoull((const char *)text, &end, 10);
	if (errno || *end || __builtin_mul_overflow(number, bytes_per, &bytes) || bytes >> 20 >= INT32_MAX)
		return 0;
	return (int32_t)((bytes + (1 << 20) - 1) >> 20);
}

int domain_xml_prepare(const char *text, size_t length, const char *uuid, const struct domain_lease *lease,
		       char **ret_xml, int32_t *ret_memory_mib, char why[DOMAIN_WHY_MAX])
{
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;
	_cleanup_(cleanup_xml_text) xmlChar *dump = NULL;
	xmlNodePtr devices, root;
	unsigned leases;
	char *copy;
	int r, size;

	assert(text && uuid && lease && ret_xml && ret_memory_mib);
	r = parse(text, length, &doc, why);
	if (r < 0)
		return r;
	r = check_domain(doc, uuid, lease, &devices, &leases, why);
	if (r < 0)
		return r;
	root = xmlDocGetRootElement(doc);
	if (leases == 0)
		r = add_lease(devices, lease);
	if (r == 0)
		r = set_poweroff(root);
	if (r < 0)
		return r;
	xmlDocDumpMemory(doc, &dump, &size);
	if (!dump)
		return -ENOMEM;
	copy = strdup((const char *)dump);
	if (!copy)
		return -ENOMEM;
	*ret_xml = copy;
	*ret_memory_mib = memory_mib(root);
	return 0;
}

int domain_xml_check(const char *text, size_t length, const char *uuid, const struct domain_lease *lease,
		     char why[DOMAIN_WHY_MAX])
{
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;
	xmlNodePtr devices, failure;
	unsigned leases;
	int r;

	assert(text && uuid && lease);
	r = parse(text, length, &doc, why);
	if (r < 0)
		return r;
	r = check_domain(doc, uuid, lease, &devices, &leases, why);
	if (r < 0)
		return r;
	if (leases != 1)
		return refuse(why, "it has no <lease>");
	if (children(xmlDocGetRootElement(doc), "on_lockfailure", &failure) != 1 ||
	    !text_is(failure, "poweroff", false))
		return refuse(why, "its <on_lockfailure> is not poweroff");
	return 0;
}

static void take_disk(const xmlNode *disk, struct domain_disks *ret)
{
	_cleanup_(cleanup_xml_text) xmlChar *path = NULL;
	xmlNodePtr source;

	if (attribute_is(disk, "device", "cdrom") || attribute_is(disk, "device", "floppy") ||
	    children(disk, "readonly", NULL) > 0)
		return;
	if (children(disk, "source", &source) == 1) {
		path = xmlGetNoNsProp(source, (const xmlChar *)"file");
		if (!path)
			path = xmlGetNoNsProp(source, (const xmlChar *)"dev");
	}
	if (path && ret->n < DOMAIN_DISKS_MAX && strlen((const char *)path) < sizeof(ret->paths[0]))
		strcpy(ret->paths[ret->n++], (const char *)path);
	else
		ret->others = true;
}

int domain_xml_disks(const char *text, size_t length, struct domain_disks *ret, char why[DOMAIN_WHY_MAX])
{
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;
	xmlNodePtr root, devices;
	int r;

	assert(text && ret);
	r = parse(text, length, &doc, why);
	if (r < 0)
		return r;
	root = xmlDocGetRootElement(doc);
	if (!root || children(root, "devices", &devices) != 1)
		return refuse(why, "it needs one <devices>");
	*ret = (struct domain_disks){0};
	for (const xmlNode *node = devices->children; node; node = node->next)
		if (is(node, "disk"))
			take_disk(node, ret);
	return 0;
}
