/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --deploy: the dialogue, then the stages. Decides when a host may be deployed, and that nothing stays when
 * the dialogue is left. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "deploy/dialogue.h"
#include "deploy/restore.h"
#include "tools/commands.h"
#include "tools/deploy_break.h"
#include "tools/deploy_offer.h"
#include "tools/deploy_steps.h"
#include "tools/deploy_terminal.h"
#include "tools/deploy_world.h"
#include "tools/deployment.h"

static int check_undeployed(const struct deployment *deployment)
{
	struct engine_conf conf;

	if (!deployment_load(stderr, &conf))
		return 1;
	if (!journal_empty(deployment->journal) && !deployment_finished(deployment)) {
		fputs("It seems like a previous attempt to deploy hosted-engine failed or it's still in "
		      "progress. Please clean it up before trying again\nhosted-engine-cleanup does it\n",
		      stderr);
		return 2;
	}
	if (journal_empty(deployment->journal) && !engine_conf_deployed(&conf))
		return 0;
	fprintf(stderr, "The hosted engine has been deployed on this host already; %s\n",
		journal_empty(deployment->journal)
			? "by hand: stop its daemons and move hosted-engine.conf away first"
			: "hosted-engine-cleanup takes that back");
	return 1;
}

static int leave(struct deployment *deployment, int error)
{
	if (!journal_empty(deployment->journal) && deployment_disconnect(deployment) < 0)
		fprintf(stderr, "%s\nhosted-engine-cleanup tries it again\n", deployment->reason);
	else if (error == -ECANCELED)
		fputs("\nLeft: nothing on this host was changed\n", stderr);
	return 1;
}

static int take_answers(const struct invocation *call, struct deployment *deployment)
{
	const char *file = invocation_value(call, "config-append");
	const char *saved = invocation_value(call, "restore-from-file");
	struct problems problems = {.say = problems_print, .data = stderr};
	char why[RESTORE_WHY_SIZE];
	int r = deploy_world_suggest(&deployment->answers);

	if (r < 0)
		return r;
	if (file)
		r = answers_load(&deployment->answers, file, &problems);
	if (r < 0 || !saved)
		return r;
	r = restore_load(saved, &deployment->archive, why);
	if (r < 0)
		fprintf(stderr, "%s can't be restored: %s; give what hosted-engine --save-config wrote\n",
			saved, why);
	return r < 0 ? r : restore_answers(&deployment->archive, &deployment->answers);
}

static int deploy(const struct invocation *call, struct deployment *deployment)
{
	const char *save = invocation_value(call, "generate-answer");
	const bool silent = !isatty(STDIN_FILENO);
	struct dialogue dialogue = {
		.ask = terminal_ask,
		/* Where nobody is asked, all that is said before the preview is why it can't go on. */
		.say = silent ? terminal_refuse : terminal_tell,
		.offer = deploy_offer,
		.learn = deploy_world_learn,
		.data = deployment,
		.silent = silent,
	};
	const bool only4 = invocation_value(call, "4"), only6 = invocation_value(call, "6");
	int r = check_undeployed(deployment);

	if (r != 0)
		return r;
	if (only4 && only6) {
		fputs("--4 and --6 exclude each other: give one of them, or none\n", stderr);
		return 1;
	}
	deployment->answers.ip_version = only4 ? 4 : only6 ? 6 : 0;
	if (dialogue.silent && !invocation_value(call, "config-append")) {
		fputs("The questions need a terminal: run it on one, or give the answers with "
		      "--config-append=FILE\n",
		      stderr);
		return 1;
	}
	break_leave();
	r = take_answers(call, deployment);
	if (r == 0)
		r = dialogue_run(&dialogue, &deployment->answers);
	dialogue.say = terminal_tell;
	if (r == 0)
		r = dialogue_confirm(&dialogue, &deployment->answers);
	if (r < 0 || break_asked())
		return leave(deployment, r < 0 && !break_asked() ? r : -ECANCELED);
	if (save && (r = answers_save(&deployment->answers, save)) < 0) {
		fprintf(stderr, "%s cannot be written: %s\n", save, strerror(-r));
		return leave(deployment, r);
	}
	break_end();
	if (break_asked())
		return leave(deployment, -ECANCELED);
	r = deployment_run(deployment);
	if (r < 0) {
		terminal_say("ERROR",
			     "Hosted Engine deployment failed: hosted-engine-cleanup takes this host "
			     "back to before; then --deploy may be tried again");
		return 1;
	}
	terminal_say("INFO", "Hosted Engine successfully deployed");
	return 0;
}

int command_run_deploy(const struct invocation *call)
{
	struct deployment *deployment = calloc(1, sizeof(*deployment));
	int code = 1;

	if (!deployment)
		return 1;
	deployment->bar = isatty(STDOUT_FILENO);
	if (deployment_open(deployment) == 0)
		code = deploy(call, deployment);
	deployment_close(deployment);
	free(deployment);
	return code;
}
