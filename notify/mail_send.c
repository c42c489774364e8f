/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only file of ovirt-ha-notify that includes libcurl: hands a mail to a server, and turns libcurl's codes
 * into words that tell the operator what to do. It decides nothing about when or what. Called in a worker. */
#include "notify/mail_send.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

CLEANUP_DEFINE(CURL *, curl_easy_cleanup)
CLEANUP_DEFINE(struct curl_slist *, curl_slist_free_all)

/* What the server said no to; libcurl's code alone does not tell which receiver. */
struct dialogue {
	char receiver[256]; /* of the RCPT that is being answered, "" none */
	bool refuses;	    /* one of them */
	char refused[512];
};

static void keep(char *ret, size_t size, const char *data, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length && n + 1 < size && data[i] != '\r' && data[i] != '\n'; i++)
		ret[n++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
	ret[n] = '\0';
}

/* Answers, and commands that name a receiver; nothing else of what goes out is looked at: it has the login.
 */
static int follow(CURL *easy, curl_infotype type, char *data, size_t size, void *user)
{
	static const char rcpt[] = "RCPT TO:";
	struct dialogue *dialogue = user;
	char answer[200];

	if (type == CURLINFO_HEADER_OUT) {
		bool names = size > sizeof(rcpt) && strncmp(data, rcpt, sizeof(rcpt) - 1) == 0;

		keep(dialogue->receiver, sizeof(dialogue->receiver), names ? data + sizeof(rcpt) - 1 : "",
		     names ? size - sizeof(rcpt) + 1 : 0);
	}
	if (type != CURLINFO_HEADER_IN || size < 4 || (data[0] != '4' && data[0] != '5'))
		return 0;
	keep(answer, sizeof(answer), data, size);
	dialogue->refuses = dialogue->receiver[0];
	snprintf(dialogue->refused, sizeof(dialogue->refused), "the mail server answers%s%s: %s",
		 dialogue->receiver[0] ? " of receiver " : "", dialogue->receiver, answer);
	return 0;
}

static void explain(const struct mail_server *server, CURLcode code, const struct dialogue *dialogue,
		    const char *error, char why[MAIL_WHY_MAX])
{
	const char *host = server->host;

	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(why, MAIL_WHY_MAX,
			 "the name %s can't be resolved; check smtp-server and the name server", host);
		break;
	case CURLE_COULDNT_CONNECT:
		snprintf(why, MAIL_WHY_MAX,
			 "no connection to %s port %u; check smtp-server and smtp-port, and that it runs",
			 host, server->port);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(why, MAIL_WHY_MAX,
			 "%s port %u was not done within %u s; check the server, or raise smtp-timeout%s",
			 host, server->port, server->timeout_s,
			 server->tls == SMTP_TLS_TLS
				 ? ""
				 : "; a port that wants TLS from the start needs smtp-tls=tls");
		break;
	case CURLE_USE_SSL_FAILED:
		snprintf(why, MAIL_WHY_MAX,
			 "%s port %u offers no STARTTLS; give the port that does, or another smtp-tls", host,
			 server->port);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		snprintf(why, MAIL_WHY_MAX,
			 "the certificate of %s is not trusted: %s; give its CA as smtp-ca", host, error);
		break;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(why, MAIL_WHY_MAX, "smtp-ca %s can't be used; give a readable file of certificates",
			 server->ca_file);
		break;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(why, MAIL_WHY_MAX,
			 "no TLS with %s port %u: %s; smtp-tls=starttls is for port 25 and 587", host,
			 server->port, error);
		break;
	case CURLE_LOGIN_DENIED:
		snprintf(why, MAIL_WHY_MAX,
			 "%s refuses the login of %s; check smtp-user and its password%s%s", host,
			 server->user, dialogue->refused[0] ? "; " : "", dialogue->refused);
		break;
	case CURLE_WEIRD_SERVER_REPLY:
		snprintf(why, MAIL_WHY_MAX, "%s port %u is no mail server; check smtp-port", host,
			 server->port);
		break;
	default:
		if (dialogue->refused[0])
			snprintf(why, MAIL_WHY_MAX, "%.300s; check destination-emails and source-email",
				 dialogue->refused);
		else
			snprintf(why, MAIL_WHY_MAX, "%s port %u: %s", host, server->port, error);
	}
}

static bool append(struct curl_slist **list, const char *text)
{
	struct curl_slist *longer = curl_slist_append(*list, text);

	if (longer)
		*list = longer;
	return longer;
}

static bool add_receivers(struct curl_slist **list, const char *to)
{
	for (const char *at = to; *at;) {
		size_t skip = strspn(at, ", \t"), length = strcspn(at + skip, ", \t");
		char address[sizeof(((struct mail_server *)NULL)->to) + 2];

		snprintf(address, sizeof(address), "<%.*s>", (int)length, at + skip);
		if (length > 0 && !append(list, address))
			return false;
		at += skip + length;
	}
	return true;
}

/* libcurl doubles the dots at the beginning of lines. */
static size_t give(char *ret, size_t size, size_t n, void *data)
{
	const char **rest = data;
	size_t length = strlen(*rest), room = size * n;

	if (length > room)
		length = room;
	memcpy(ret, *rest, length);
	*rest += length;
	return length;
}

int mail_send_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? 0 : -ENOMEM;
}

int mail_send(const struct mail_server *server, const struct mail *mail, char why[MAIL_WHY_MAX])
{
	_cleanup_(curl_slist_free_all_p) struct curl_slist *receivers = NULL;
	_cleanup_(curl_easy_cleanup_p) CURL *easy = curl_easy_init();
	char url[320], sender[sizeof(server->from) + 2], error[CURL_ERROR_SIZE] = "";
	struct dialogue dialogue = {.receiver = ""};
	const char *rest = mail->text;
	bool six = strchr(server->host, ':');
	bool bad = false;
	CURLcode code;

	why[0] = '\0';
	snprintf(url, sizeof(url), "smtp%s://%s%s%s:%u", server->tls == SMTP_TLS_TLS ? "s" : "",
		 six ? "[" : "", server->host, six ? "]" : "", server->port);
	snprintf(sender, sizeof(sender), "<%s>", server->from);
	if (!easy || !add_receivers(&receivers, server->to)) {
		snprintf(why, MAIL_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	bad |= curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)server->timeout_s) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)server->timeout_s) != CURLE_OK;
	if (server->tls == SMTP_TLS_STARTTLS)
		bad |= curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL) != CURLE_OK;
	if (server->ca_file[0])
		bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, server->ca_file) != CURLE_OK;
	if (server->user[0]) {
		bad |= curl_easy_setopt(easy, CURLOPT_USERNAME, server->user) != CURLE_OK;
		bad |= curl_easy_setopt(easy, CURLOPT_PASSWORD, server->password) != CURLE_OK;
	}
	bad |= curl_easy_setopt(easy, CURLOPT_MAIL_FROM, sender) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, receivers) != CURLE_OK;
	/* One receiver that is gone must not keep the mail from the others. */
	bad |= curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, give) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_READDATA, &rest) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, follow) != CURLE_OK;
	bad |= curl_easy_setopt(easy, CURLOPT_DEBUGDATA, &dialogue) != CURLE_OK;
	if (bad) {
		snprintf(why, MAIL_WHY_MAX, "%s is not a server that can be asked; check smtp-server",
			 server->host);
		return -EINVAL;
	}
	code = curl_easy_perform(easy);
	if (code == CURLE_OK) {
		if (dialogue.refuses)
			snprintf(why, MAIL_WHY_MAX, "%s", dialogue.refused);
		return 0;
	}
	explain(server, code, &dialogue, error[0] ? error : curl_easy_strerror(code), why);
	return code == CURLE_LOGIN_DENIED ? -EACCES : -EIO;
}
