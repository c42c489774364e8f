/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes the definition of an engine that was somewhere else: its disk, and no more than has to follow. What
 * may run with the lease is daemon/domain_xml.c's. Called by deployment from a saved configuration. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "deploy/engine_xml.h"
#include "util/cleanup.h"
#include "util/xml_read.h"

CLEANUP_DEFINE(xmlDocPtr, xmlFreeDoc)

_Static_assert(ENGINE_XML_WHY_SIZE >= XML_READ_WHY_SIZE, "its reason fits");

static void cleanup_xml_text(xmlChar **text)
{
	if (*text)
		xmlFree(*text);
}
#define _cleanup_xml_text_ _cleanup_(cleanup_xml_text)

__attribute__((format(printf, 3, 4))) static int refuse(char ret_why[ENGINE_XML_WHY_SIZE], int error,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret_why, ENGINE_XML_WHY_SIZE, format, args);
	va_end(args);
	return error;
}

static bool is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNodePtr child(const xmlNode *parent, const char *name)
{
	for (xmlNodePtr node = parent ? parent->children : NULL; node; node = node->next)
		if (is(node, name))
			return node;
	return NULL;
}

static bool is_written(const xmlNode *disk)
{
	_cleanup_xml_text_ xmlChar *device = xmlGetNoNsProp(disk, (const xmlChar *)"device");

	return !child(disk, "readonly") && (!device || (strcmp((const char *)device, "cdrom") != 0 &&
							strcmp((const char *)device, "floppy") != 0));
}

/* A source by network, or from a pool, has more than a path. The import writes raw bytes: taken for qcow2,
 * they would name files to open as the guest likes. */
static bool set_disk(xmlNodePtr disk, const char *path, bool block)
{
	xmlNodePtr old = child(disk, "source"), source = xmlNewNode(NULL, (const xmlChar *)"source");
	xmlNodePtr label = child(old, "seclabel"), driver = child(disk, "driver");

	if (!source || (driver && !xmlSetProp(driver, (const xmlChar *)"type", (const xmlChar *)"raw")) ||
	    !xmlSetProp(disk, (const xmlChar *)"type", (const xmlChar *)(block ? "block" : "file")) ||
	    !xmlNewProp(source, (const xmlChar *)(block ? "dev" : "file"), (const xmlChar *)path)) {
		xmlFreeNode(source);
		return false;
	}
	if (label) {
		xmlUnlinkNode(label);
		xmlAddChild(source, label);
	}
	if (old) {
		xmlReplaceNode(old, source);
		xmlFreeNode(old);
	} else {
		xmlAddChild(disk, source);
	}
	return true;
}

static int change(xmlNodePtr root, const char *uuid, const char *disk, bool block,
		  char ret_why[ENGINE_XML_WHY_SIZE])
{
	xmlNodePtr devices = child(root, "devices"), id = child(root, "uuid"), found = NULL, next;
	_cleanup_xml_text_ xmlChar *text = id ? xmlNodeGetContent(id) : NULL;
	unsigned n = 0;

	if (!is(root, "domain") || !devices)
		return refuse(ret_why, -EINVAL, "it is no domain");
	if (!text || strcasecmp((const char *)text, uuid) != 0)
		return refuse(ret_why, -EINVAL, "it is not of the VM %s", uuid);
	for (xmlNodePtr node = devices->children; node; node = next) {
		next = node->next;
		if (is(node, "lease")) {
			xmlUnlinkNode(node);
			xmlFreeNode(node);
		} else if (is(node, "disk") && is_written(node) && n++ == 0) {
			found = node;
		}
	}
	if (n != 1)
		return refuse(ret_why, -EINVAL, "it has %u disks that are written to, and must have one", n);
	return set_disk(found, disk, block) ? 0 : refuse(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
}

int engine_xml_move(const char *text, size_t length, const char *uuid, const char *disk, bool block,
		    char **ret, char ret_why[ENGINE_XML_WHY_SIZE])
{
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;
	_cleanup_xml_text_ xmlChar *dump = NULL;
	char *copy;
	int r, size;

	assert(text && uuid && disk && ret && ret_why);
	r = xml_read(text, length, &doc, ret_why);
	if (r == 0)
		r = change(xmlDocGetRootElement(doc), uuid, disk, block, ret_why);
	if (r < 0)
		return r;
	xmlDocDumpFormatMemory(doc, &dump, &size, 1);
	copy = dump ? strdup((const char *)dump) : NULL;
	if (!copy)
		return refuse(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	*ret = copy;
	return 0;
}

bool engine_xml_card(const char *text, size_t length, char ret[18])
{
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;
	_cleanup_xml_text_ xmlChar *mac = NULL;
	char why[XML_READ_WHY_SIZE];
	xmlNodePtr node;

	if (xml_read(text, length, &doc, why) < 0)
		return false;
	node = child(child(child(xmlDocGetRootElement(doc), "devices"), "interface"), "mac");
	mac = node ? xmlGetNoNsProp(node, (const xmlChar *)"address") : NULL;
	if (!mac || strlen((const char *)mac) != 17)
		return false;
	strcpy(ret, (const char *)mac);
	return true;
}
