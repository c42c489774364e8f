/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --vm-start, --vm-start-paused, --vm-shutdown, --vm-poweroff: asks the agent, through the broker, and says
 * how it went. The agent does them with all of safety rule 2; nothing here touches the VM. The agent's answer
 * holds the words that scripts know and, for a failure, the reason; here they are told apart: the former go
 * to stdout, the latter to stderr. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_client.h"
#include "broker/broker_conf.h"
#include "tools/broker_trouble.h"
#include "tools/commands.h"
#include "tools/deployment.h"
#include "tools/json_text.h"
#include "tools/vm_answer.h"
#include "util/cleanup.h"
#include "util/paths.h"

#define OPEN_MS 5000

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

static int64_t answer_ms(void)
{
	struct problems quiet = {0};
	struct broker_conf broker;
	struct engine_conf conf;
	char path[PATH_MAX], copy[PATH_MAX];

	/* What is wrong in them is the daemons' to tell; until they run nobody answers either. */
	(void)engine_conf_load(file_path(FILE_ENGINE_CONF, path), &conf, &quiet);
	(void)broker_conf_load_both(file_path(FILE_BROKER_CONF, path),
				    file_path(FILE_SHARED_BROKER_CONF, copy), &broker, &quiet);
	return vm_answer_ms(&(struct lease_timing){.io_timeout_s = conf.io_timeout_s,
						   .watchdog_fire_s = conf.watchdog_fire_s},
			    broker.io_deadline);
}

static int ask(enum command command, const char *argument, char text[TEXT_MAX])
{
	_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
	int r;

	text[0] = '\0';
	r = broker_client_open(OPEN_MS, &client);
	if (r < 0)
		return r;
	return broker_client_command(client, command, argument, (int)answer_ms(), text);
}

static int started_json(int started, const char *said, const char *detail)
{
	return json_answer(json_pack("{s:o, s:o, s:o}", "started", json_known(started), "said",
				     json_detail(said), "detail", json_detail(detail)),
			   started != 1);
}

/* The answer to a start as JSON, beside its reasons on stderr. */
static int put_json(int error, const char *text)
{
	_cleanup_free_ char *said = NULL, *detail = NULL;
	size_t size;
	FILE *out, *err;
	int code = 1;

	if (vm_answer_lost(error, text)) {
		detail = broker_trouble_text(error, text);
		broker_trouble_say(error, text);
		return started_json(-1, "", detail);
	}
	out = open_memstream(&said, &size);
	err = open_memstream(&detail, &size);
	if (out && err)
		code = vm_start_answer(error, text, out, err);
	if (out)
		fclose(out);
	if (err)
		fclose(err);
	if (detail)
		fputs(detail, stderr);
	return started_json(code == 0, said, detail);
}

int command_run_vm_start(const struct invocation *call)
{
	bool paused = strcmp(call->command->name, "vm-start-paused") == 0;
	const char *conf = paused ? NULL : invocation_value(call, "vm-conf");
	_cleanup_free_ char *path = NULL;
	char text[TEXT_MAX];
	int r;

	/* A configuration that is given need not be fetched. */
	r = conf ? 0 : deployment_check_vm(stdout);
	if (r != 0)
		return r;
	if (conf) {
		/* The agent runs elsewhere in the file system: it gets the whole path. */
		path = realpath(conf, NULL);
		if (!path) {
			fprintf(stderr,
				"--vm-conf: cannot read the file: %s; give one with the domain's XML\n",
				strerror(errno));
			return 1;
		}
		if (strlen(path) >= TEXT_MAX) {
			fputs("--vm-conf: the path is too long\n", stderr);
			return 1;
		}
	}
	r = ask(paused ? COMMAND_VM_START_PAUSED : COMMAND_VM_START, path, text);
	if (invocation_value(call, "json"))
		return put_json(r, text);
	if (vm_answer_lost(r, text))
		return broker_trouble_say(r, text);
	return vm_start_answer(r, text, stdout, stderr);
}

int command_run_vm_stop(const struct invocation *call)
{
	bool poweroff = strcmp(call->command->name, "vm-poweroff") == 0;
	char text[TEXT_MAX];
	int r;

	r = ask(poweroff ? COMMAND_VM_POWEROFF : COMMAND_VM_SHUTDOWN, NULL, text);
	if (r < 0)
		return broker_trouble_say(r, text);
	broker_text_put(stderr, text);
	return 0;
}
