/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One mail to one SMTP server. Blocks for up to the server's timeout, and as long as the system's resolver
 * does after it: for a worker. */
#pragma once

#include "broker/broker_conf.h"
#include "notify/mail_text.h"

struct mail_server {
	char host[256];
	uint16_t port;
	enum smtp_tls tls;
	char ca_file[512]; /* "": the system's */
	char user[256];	   /* "": no login */
	char password[512];
	uint32_t timeout_s;
	char from[256];
	char to[1024]; /* separated by commas */
};

/* Once per program, before any thread. 0 or -ENOMEM. */
int mail_send_init(void);
/* 0: every receiver was accepted, or at least one (then `why` says which was not, else it is ""). -errno: the
 * mail was not taken, and `why` says what to do next; it never has the password in it. */
int mail_send(const struct mail_server *server, const struct mail *mail, char why[MAIL_WHY_MAX]);
