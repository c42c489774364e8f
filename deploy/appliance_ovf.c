/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an OVF: processors, memory, the disk. It goes by the names of elements wherever they stand, since
 * those who write OVFs differ in all else, and takes nothing from two machines or two disks. What is only a
 * proposal to a person (processors, memory) may be missing. Called by appliance_ova.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deploy/appliance_parts.h"
#include "util/cleanup.h"
#include "util/xml_read.h"

#define DEPTH_MAX 32
#define TYPE_PROCESSOR 3
#define TYPE_MEMORY 4
#define BYTES_PER_GIB (UINT64_C(1) << 30)

CLEANUP_DEFINE(xmlDocPtr, xmlFreeDoc)

static void cleanup_xml_text(xmlChar **text)
{
	if (*text)
		xmlFree(*text);
}
#define _cleanup_xml_text_ _cleanup_(cleanup_xml_text)

struct walk {
	xmlNodePtr processor, memory, disk;
	unsigned machines, disks;
};

static bool is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNodePtr child(const xmlNode *parent, const char *name)
{
	for (xmlNodePtr node = parent->children; node; node = node->next)
		if (is(node, name))
			return node;
	return NULL;
}

/* A decimal number that is all of the text. */
static bool number_of(const xmlChar *text, uint64_t *ret)
{
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull((const char *)text, &end, 10);
	return errno == 0 && *end == '\0';
}

static uint64_t child_number(const xmlNode *parent, const char *name, uint64_t otherwise)
{
	xmlNodePtr node = child(parent, name);
	_cleanup_xml_text_ xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
	uint64_t number;

	return number_of(text, &number) ? number : otherwise;
}

/* "byte * 2^20" and older words; 0: not known. */
static uint64_t bytes_per(const char *unit)
{
	static const struct {
		const char *name;
		unsigned shift;
	} names[] = {{"byte", 0}, {"bytes", 0},	     {"KB", 10},  {"KiloBytes", 10}, {"KiB", 10},
		     {"MB", 20},  {"MegaBytes", 20}, {"MiB", 20}, {"GB", 30},	     {"GigaBytes", 30},
		     {"GiB", 30}, {"TB", 40},	     {"TiB", 40}};
	unsigned shift = 0;
	int end = 0;

	if (sscanf(unit, " byte * 2 ^ %2u %n", &shift, &end) == 1 && end > 0 && !unit[end])
		return shift <= 50 ? UINT64_C(1) << shift : 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i].name, unit) == 0)
			return UINT64_C(1) << names[i].shift;
	return 0;
}

static int walk(const xmlNode *parent, unsigned depth, struct walk *ret)
{
	if (depth > DEPTH_MAX)
		return -EINVAL;
	for (xmlNodePtr node = parent->children; node; node = node->next) {
		uint64_t type = is(node, "Item") ? child_number(node, "ResourceType", 0) : 0;
		int r;

		if (type == TYPE_PROCESSOR && !ret->processor)
			ret->processor = node;
		if (type == TYPE_MEMORY && !ret->memory)
			ret->memory = node;
		if (is(node, "VirtualSystem") || is(node, "Content"))
			ret->machines++;
		if (is(node, "Disk") && ret->disks++ == 0)
			ret->disk = node;
		r = node->type == XML_ELEMENT_NODE ? walk(node, depth + 1, ret) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static uint32_t processors(const xmlNode *item)
{
	uint64_t n = item ? child_number(item, "VirtualQuantity", 0) : 0, sockets, cores;

	if (item && n == 0) {
		sockets = child_number(item, "num_of_sockets", 0);
		cores = child_number(item, "cpu_per_socket", 1);
		n = sockets <= APPLIANCE_CPUS_MAX && cores <= APPLIANCE_CPUS_MAX ? sockets * cores : 0;
	}
	return n <= APPLIANCE_CPUS_MAX ? (uint32_t)n : 0;
}

static uint32_t memory_mib(const xmlNode *item)
{
	xmlNodePtr node = item ? child(item, "AllocationUnits") : NULL;
	_cleanup_xml_text_ xmlChar *unit = node ? xmlNodeGetContent(node) : NULL;
	uint64_t per = unit ? bytes_per((const char *)unit) : 0, bytes;

	if (per == 0 || __builtin_mul_overflow(child_number(item, "VirtualQuantity", 0), per, &bytes) ||
	    bytes >> 20 >= INT32_MAX)
		return 0;
	return (uint32_t)((bytes + (1 << 20) - 1) >> 20);
}

/* `capacity` in its units, bytes where it has none; or oVirt's `size`, in GiB. */
static uint64_t capacity(xmlNodePtr disk)
{
	_cleanup_xml_text_ xmlChar *text = xmlGetProp(disk, (const xmlChar *)"capacity");
	_cleanup_xml_text_ xmlChar *unit = xmlGetProp(disk, (const xmlChar *)"capacityAllocationUnits");
	_cleanup_xml_text_ xmlChar *size = xmlGetProp(disk, (const xmlChar *)"size");
	uint64_t per = unit ? bytes_per((const char *)unit) : 1, number, bytes;

	if (!text) {
		text = TAKE_PTR(size);
		per = BYTES_PER_GIB;
	}
	return number_of(text, &number) && !__builtin_mul_overflow(number, per, &bytes) ? bytes : 0;
}

/* The File that a disk's fileRef names: by its id, or by its very name. */
static xmlNodePtr file_of(const xmlNode *parent, unsigned depth, const xmlChar *reference)
{
	for (xmlNodePtr node = parent->children; node && depth <= DEPTH_MAX; node = node->next) {
		_cleanup_xml_text_ xmlChar *id = NULL, *href = NULL;
		xmlNodePtr found = file_of(node, depth + 1, reference);

		if (found)
			return found;
		if (!is(node, "File"))
			continue;
		id = xmlGetProp(node, (const xmlChar *)"id");
		href = xmlGetProp(node, (const xmlChar *)"href");
		if (href && (xmlStrEqual(id, reference) || xmlStrEqual(href, reference)))
			return node;
	}
	return NULL;
}

static int take_file(const xmlNode *root, xmlNodePtr disk, struct ovf *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_xml_text_ xmlChar *reference = xmlGetProp(disk, (const xmlChar *)"fileRef");
	_cleanup_xml_text_ xmlChar *href = NULL, *compression = NULL;
	xmlNodePtr file = reference ? file_of(root, 0, reference) : NULL;

	if (!file)
		return appliance_why(ret_why, -EINVAL, "its OVF does not say in which file the disk is");
	href = xmlGetProp(file, (const xmlChar *)"href");
	compression = xmlGetProp(file, (const xmlChar *)"compression");
	if (compression && compression[0] && strcmp((const char *)compression, "identity") != 0)
		return appliance_why(ret_why, -EINVAL, "its disk is compressed (%.20s); unpack it first",
				     (const char *)compression);
	if (!href[0] || strlen((const char *)href) >= sizeof(ret->href))
		return appliance_why(ret_why, -EINVAL,
				     "its OVF calls the disk's file by no name, or a very long one");
	strcpy(ret->href, (const char *)href);
	return 0;
}

int ovf_parse(const char *text, size_t size, struct ovf *ret, char ret_why[APPLIANCE_WHY_SIZE])
{
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;
	char reason[XML_READ_WHY_SIZE];
	struct walk found = {0};
	struct ovf ovf = {0};
	xmlNodePtr root;
	int r;

	r = xml_read(text, size, &doc, reason);
	if (r < 0)
		return appliance_why(ret_why, r, "its OVF %s", reason);
	root = xmlDocGetRootElement(doc);
	if (!is(root, "Envelope") || walk(root, 0, &found) < 0)
		return appliance_why(ret_why, -EINVAL, "its OVF is none: no <Envelope>, or nested too deep");
	if (found.machines != 1 || found.disks != 1)
		return appliance_why(ret_why, -EINVAL,
				     "its OVF has %u machines and %u disks, and must have one of each",
				     found.machines, found.disks);
	r = take_file(root, found.disk, &ovf, ret_why);
	if (r < 0)
		return r;
	ovf.cpus = processors(found.processor);
	ovf.memory_mib = memory_mib(found.memory);
	ovf.capacity = capacity(found.disk);
	*ret = ovf;
	return 0;
}
