/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what of a discovery is offered, and how a line of it reads. What can't be found is one line: the
 * question is asked all the same. */
#include "tools/deploy_offer.h"

#include <string.h>

#include "tools/deploy_terminal.h"
#include "tools/json_text.h"
#include "tools/storage_look.h"

#define LOOK_SECONDS 10
#define BY_ID "/dev/disk/by-id/"
#define SERVER_SIZE 300

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void __attribute__((format(printf, 2, 3))) note(struct choices *choices, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(choices->note, sizeof(choices->note), format, args);
	va_end(args);
}

static json_t *look(const struct storage_look *request, const char *what, struct choices *choices)
{
	char why[DISCOVERY_WHY_SIZE], line[SERVER_SIZE + 64];
	json_t *found = NULL;

	snprintf(line, sizeof(line), "Looking for %s%s%s ..", what, request->server ? " of " : "",
		 request->server ? request->server : "");
	terminal_tell(NULL, line);
	if (storage_look(request, LOOK_SECONDS, &found, why) < 0)
		note(choices, "No list of %s: %s", what, why);
	return found;
}

/* The first portal of `storage`. */
static json_t *look_at_targets(const struct answers *answers, struct choices *choices)
{
	const char *storage = answer_get(answers, ANSWER_STORAGE), *user = answer_get(answers, ANSWER_USER);
	char server[SERVER_SIZE];
	const struct storage_look request = {.type = "iscsi",
					     .server = server,
					     .user = user[0] ? user : NULL,
					     .secret = answer_get(answers, ANSWER_PASSWORD)};

	snprintf(server, sizeof(server), "%.*s:%s", (int)strcspn(storage, ","), storage,
		 answer_get(answers, ANSWER_PORT));
	return look(&request, "iSCSI targets", choices);
}

static void offer_targets(const json_t *found, struct choices *choices)
{
	const json_t *target, *portal;
	size_t i, j;

	json_array_foreach(json_object_get(found, "targets"), i, target)
	{
		const char *iqn = text_of(target, "iqn"), *error = text_of(target, "error");
		char about[1024];
		size_t n = (size_t)snprintf(about, sizeof(about), "%s ", iqn);

		json_array_foreach(json_object_get(target, "portals"), j, portal)
		{
			if (n < sizeof(about))
				n += (size_t)snprintf(about + n, sizeof(about) - n, " %s",
						      json_string_value(portal));
		}
		if (n < sizeof(about) && error[0])
			snprintf(about + n, sizeof(about) - n, "  %s", error);
		else if (n < sizeof(about))
			snprintf(about + n, sizeof(about) - n, "  LUNs: %zu",
				 json_array_size(json_object_get(target, "luns")));
		if (choices_add(choices, iqn, about) < 0)
			return;
	}
	note(choices, choices->n > 0 ? "The following targets have been found:"
				     : "No list of iSCSI targets: the server has none for this host");
}

static void describe(const json_t *lun, char *ret, size_t size)
{
	const char *serial = text_of(lun, "serial"), *holds = text_of(lun, "holds");
	const json_int_t bytes = json_integer_value(json_object_get(lun, "size"));
	char status[256];

	if (json_is_true(json_object_get(lun, "read-only")))
		snprintf(status, sizeof(status), "read-only");
	else
		snprintf(status, sizeof(status), "%s%s%.200s", text_of(lun, "status"), holds[0] ? ": " : "",
			 holds);
	snprintf(ret, size, "%" JSON_INTEGER_FORMAT " %s  %s %s  serial %s  %s",
		 bytes >> (bytes < 1LL << 30 ? 20 : 30), bytes < 1LL << 30 ? "MiB" : "GiB",
		 text_of(lun, "vendor"), text_of(lun, "model"), serial[0] ? serial : "unknown", status);
}

static void offer_luns(const json_t *luns, struct choices *choices)
{
	const json_t *lun;
	size_t i;

	json_array_foreach(luns, i, lun)
	{
		const json_t *number = json_object_get(lun, "lun");
		const char *path = text_of(lun, "path");
		const bool by_id = strncmp(path, BY_ID, strlen(BY_ID)) == 0;
		char value[256], about[1024];
		int n;

		if (json_is_integer(number))
			snprintf(value, sizeof(value), "%" JSON_INTEGER_FORMAT, json_integer_value(number));
		else if (by_id)
			snprintf(value, sizeof(value), "%s", path + strlen(BY_ID));
		else
			continue; /* a name that another disk may have tomorrow */
		n = snprintf(about, sizeof(about), "%s%s", by_id ? value : "", by_id ? "  " : "");
		describe(lun, about + n, sizeof(about) - (size_t)n);
		if (choices_add(choices, value, about) < 0)
			return;
	}
	note(choices,
	     choices->n > 0 ? "The following LUNs have been found:" : "No list of LUNs: none was found");
}

static void offer_lun(const struct answers *answers, struct choices *choices)
{
	const struct storage_look fc = {.type = "fc"};
	const bool iscsi = answer_is(answers, ANSWER_STORAGE_TYPE, "iscsi");
	_cleanup_(json_decref_p) json_t *found =
		iscsi ? look_at_targets(answers, choices) : look(&fc, "LUNs", choices);
	const char *iqn = answer_get(answers, ANSWER_IQN);
	const json_t *target;
	size_t i;

	if (found && !iscsi)
		offer_luns(json_object_get(found, "luns"), choices);
	if (!found || !iscsi)
		return;
	note(choices, "No list of LUNs: the server does not name the target %.300s", iqn);
	json_array_foreach(json_object_get(found, "targets"), i, target)
	{
		const char *error = text_of(target, "error");

		if (strcmp(text_of(target, "iqn"), iqn) != 0)
			continue;
		if (error[0])
			note(choices, "No list of LUNs: %s", error);
		else
			offer_luns(json_object_get(target, "luns"), choices);
	}
}

/* HOST or HOST:PORT, where an export comes after HOST: */
static void offer_exports(const char *server, struct choices *choices)
{
	const struct storage_look request = {.type = "nfs", .server = server};
	_cleanup_(json_decref_p) json_t *found = look(&request, "NFS exports", choices);
	const char *bracket = strchr(server, ']'), *colon = strchr(bracket ? bracket : server, ':');
	const int length = colon ? (int)(colon - server) : (int)strlen(server);
	const json_t *export, *client;
	size_t i, j;

	if (!found)
		return;
	json_array_foreach(json_object_get(found, "exports"), i, export)
	{
		char value[ANSWER_SIZE], about[ANSWER_SIZE + 256];
		size_t n;

		snprintf(value, sizeof(value), "%.*s:%s", length, server, text_of(export, "path"));
		n = (size_t)snprintf(about, sizeof(about), "%s ", value);
		json_array_foreach(json_object_get(export, "clients"), j, client)
		{
			if (n < sizeof(about))
				n += (size_t)snprintf(about + n, sizeof(about) - n, " %s",
						      json_string_value(client));
		}
		if (choices_add(choices, value, about) < 0)
			return;
	}
	note(choices, choices->n > 0 ? "The following exports have been found:"
				     : "No list of NFS exports: the server has none");
}

void deploy_offer(void *data, enum answer which, const struct answers *answers, const char *typed,
		  struct choices *ret)
{
	_cleanup_(json_decref_p) json_t *found = NULL;
	const bool nfs = strncmp(answer_get(answers, ANSWER_STORAGE_TYPE), "nfs", 3) == 0;

	(void)data;
	if (typed) {
		if (which == ANSWER_STORAGE && nfs && typed[0] && !strchr(typed, '/') &&
		    strlen(typed) < SERVER_SIZE)
			offer_exports(typed, ret);
		return;
	}
	if (which == ANSWER_LUN)
		offer_lun(answers, ret);
	if (which != ANSWER_IQN)
		return;
	found = look_at_targets(answers, ret);
	if (found)
		offer_targets(found, ret);
}
