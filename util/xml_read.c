/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses XML of somebody else's. External entities and document types are refused before they are looked at;
 * what the elements have to be is the caller's. Called by daemon/domain_xml.c and by deployment for an OVF.
 */
#include "util/xml_read.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>

#include "util/cleanup.h"

CLEANUP_DEFINE(xmlDocPtr, xmlFreeDoc)
CLEANUP_DEFINE(xmlParserCtxtPtr, xmlFreeParserCtxt)

static void quiet(void *data, const char *format, ...)
{
}

/* A document type is all that entity bombs and external entities need, and nothing that is read here has one:
 * parsing ends there. */
static void stop_at_dtd(void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	xmlParserCtxtPtr parser = data;

	parser->_private = parser;
	xmlStopParser(parser);
}

int xml_read(const char *text, size_t length, xmlDocPtr *ret, char ret_why[XML_READ_WHY_SIZE])
{
	_cleanup_(xmlFreeParserCtxt_p) xmlParserCtxtPtr parser = NULL;
	_cleanup_(xmlFreeDoc_p) xmlDocPtr doc = NULL;

	parser = xmlNewParserCtxt();
	if (!parser || length > INT_MAX) {
		snprintf(ret_why, XML_READ_WHY_SIZE, "takes too much memory");
		return -ENOMEM;
	}
	parser->sax->internalSubset = stop_at_dtd;
	parser->sax->error = quiet;
	parser->sax->warning = quiet;
	doc = xmlCtxtReadMemory(parser, text, (int)length, NULL, NULL,
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
					XML_PARSE_NOBLANKS);
	if (parser->_private) {
		snprintf(ret_why, XML_READ_WHY_SIZE, "has a document type");
		return -EBADMSG;
	}
	if (!doc || !parser->wellFormed) {
		const xmlError *error = xmlCtxtGetLastError(parser);
		const char *message = error && error->message ? error->message : "unknown";

		snprintf(ret_why, XML_READ_WHY_SIZE, "is not well-formed: line %d: %.*s",
			 error ? error->line : 0, (int)strcspn(message, "\n"), message);
		return -EBADMSG;
	}
	*ret = TAKE_PTR(doc);
	return 0;
}
