/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides when the engine counts as up: an answer 200 whose text contains `DB Up`, without redirects, proxies
 * or a second try. The only file of the command that uses libcurl. */
#include "tools/liveliness.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "util/cleanup.h"
#include "util/health_page.h"

#define ASK_MS 10000L

CLEANUP_DEFINE(CURL *, curl_easy_cleanup)

struct body {
	size_t len;
	char text[HEALTH_PAGE_MAX];
};

static size_t take(char *data, size_t size, size_t n, void *user)
{
	struct body *body = user;
	size_t room = sizeof(body->text) - body->len, len = size * n < room ? size * n : room;

	memcpy(body->text + body->len, data, len);
	body->len += len;
	return len; /* less than came: it is read no further */
}

/* The errors that a changed configuration, not the engine, would mend. CURLE_UNSUPPORTED_PROTOCOL is none of
 * them: it is what a server that does not speak HTTP gives, too. */
static bool is_setup(CURLcode code)
{
	return code == CURLE_URL_MALFORMAT || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_FAILED_INIT ||
	       code == CURLE_OUT_OF_MEMORY;
}

int liveliness_ask(const char *url, const char *ca, char why[LIVELINESS_WHY_SIZE])
{
	_cleanup_(curl_easy_cleanup_p) CURL *curl = curl_easy_init();
	_cleanup_free_ struct body *body = calloc(1, sizeof(*body));
	char error[CURL_ERROR_SIZE] = "";
	CURLcode code;
	long answer = 0;
	bool bad = false;

	why[0] = '\0';
	if (!curl || !body) {
		snprintf(why, LIVELINESS_WHY_SIZE, "out of memory");
		return -EINVAL;
	}
	bad |= curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ASK_MS) != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) != CURLE_OK;
	bad |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error) != CURLE_OK;
	if (ca[0])
		bad |= curl_easy_setopt(curl, CURLOPT_CAINFO, ca) != CURLE_OK;
	if (bad) {
		snprintf(why, LIVELINESS_WHY_SIZE, "not an address that can be asked");
		return -EINVAL;
	}
	code = curl_easy_perform(curl);
	if (code == CURLE_WRITE_ERROR && body->len == sizeof(body->text))
		code = CURLE_OK;
	if (code != CURLE_OK) {
		snprintf(why, LIVELINESS_WHY_SIZE, "%s", error[0] ? error : curl_easy_strerror(code));
		return is_setup(code) ? -EINVAL : 0;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
	if (answer != 200)
		snprintf(why, LIVELINESS_WHY_SIZE, "answers with HTTP status %ld", answer);
	else if (!health_page_good(answer, body->text, body->len))
		snprintf(why, LIVELINESS_WHY_SIZE, "answers, but not with DB Up");
	else
		return 1;
	return 0;
}
