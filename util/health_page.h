/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what the engine's health page must say to count as up, for the broker's monitor and for
 * hosted-engine --check-liveliness, which may not differ. It reads no page itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define HEALTH_PAGE_MAX 4096 /* the page is one line: bytes behind these are not read and don't count */

/* `body`: the first HEALTH_PAGE_MAX bytes at most, any bytes. */
static inline bool health_page_good(long status, const char *body, size_t length)
{
	static const char word[] = "DB Up";

	return status == 200 && memmem(body, length, word, sizeof(word) - 1);
}
