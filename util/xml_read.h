/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XML that others wrote, as a tree. Whoever calls this includes libxml2's tree himself. */
#pragma once

#include <stddef.h>

#include <libxml/tree.h>

#define XML_READ_WHY_SIZE 192

/* 0 and *ret for xmlFreeDoc(); -EBADMSG not well-formed, or with a document type, -ENOMEM; with the reason,
 * which goes on after the text's name: "is not well-formed: line 3: ..". Nothing outside of the text is
 * looked at: no entity, no network. Does not block. */
int xml_read(const char *text, size_t length, xmlDocPtr *ret, char ret_why[XML_READ_WHY_SIZE]);
