/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The local port and the kept flag over files that only exist here. Decides nothing. Called by agent and
 * broker. */
#include <errno.h>
#include <stddef.h>

#include "tests/sim/sim_files.h"

#define ANSWER_MS 2

static void set_answer(struct sim_files *files)
{
	struct sim_host *host = files->host;

	if (!sim_is_set(&files->answers))
		sim_set(host->sim, &files->answers, host->id,
			sim_clock_due(&host->clock, mono_add(sim_clock_mono(&host->clock), ANSWER_MS)));
}

static void answers_fired(struct sim_event *event)
{
	struct sim_files *files = (struct sim_files *)((char *)event - offsetof(struct sim_files, answers));
	bool set = files->setting;

	if (set && !files->set_fails)
		files->view.maintenance_operator = files->set_to;
	files->setting = files->looking = false;
	files->port.seen(files->port.data, &files->view);
	if (set)
		files->port.maintenance_set(files->port.data, files->set_fails ? -EROFS : 0,
					    "ha.conf could not be written");
}

static void port_look(struct local_port *port)
{
	struct sim_files *files = (struct sim_files *)port;

	files->looking = true;
	set_answer(files);
}

static int port_set_maintenance(struct local_port *port, bool on)
{
	struct sim_files *files = (struct sim_files *)port;

	if (files->setting)
		return -EBUSY;
	files->setting = true;
	files->set_to = on;
	set_answer(files);
	return 0;
}

static void port_save(struct local_port *port, const struct saved *saved)
{
	((struct sim_files *)port)->saved = *saved;
}

static void port_close(struct local_port *port)
{
	sim_files_close((struct sim_files *)port);
}

void sim_files_close(struct sim_files *files)
{
	sim_cancel(files->host->sim, &files->answers);
	files->looking = files->setting = false;
}

static enum flag kept_load(struct kept_port *port)
{
	return ((struct sim_files *)((char *)port - offsetof(struct sim_files, kept)))->kept_flag;
}

static void kept_save(struct kept_port *port, enum flag value)
{
	((struct sim_files *)((char *)port - offsetof(struct sim_files, kept)))->kept_flag = value;
}

void sim_files_init(struct sim_files *files, struct sim_host *host)
{
	files->port = (struct local_port){.look = port_look,
					  .set_maintenance = port_set_maintenance,
					  .save = port_save,
					  .close = port_close};
	files->host = host;
	files->view = (struct local_view){
		.ha_known = true, .vm_known = true, .vm_config_good = true, .vm_memory_mib = 4096};
	files->kept = (struct kept_port){kept_load, kept_save};
	files->kept_flag = FLAG_UNKNOWN;
	files->answers.fire = answers_fired;
	files->answers.kind = SIM_LOCAL;
	files->answers.daemon = SIM_DAEMON_AGENT;
}
