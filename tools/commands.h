/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions behind the table of commands: each does one command, writes what operators and scripts rely
 * on to stdout and everything else to stderr, and returns the exit code. They may block as long as their help
 * says. */
#pragma once

#include "tools/command_line.h"

int command_run_deploy(const struct invocation *call);
int command_run_undeploy(const struct invocation *call);
int command_run_vm_start(const struct invocation *call); /* --vm-start, --vm-start-paused */
int command_run_vm_stop(const struct invocation *call);	 /* --vm-shutdown, --vm-poweroff */
int command_run_vm_migrate(const struct invocation *call);
int command_run_vm_status(const struct invocation *call);
int command_run_history(const struct invocation *call);
int command_run_console(const struct invocation *call);
int command_run_add_console_password(const struct invocation *call);
int command_run_check_liveliness(const struct invocation *call);
int command_run_check_deployed(const struct invocation *call);
int command_run_connect_storage(const struct invocation *call); /* --connect-storage, --disconnect-storage */
int command_run_set_maintenance(const struct invocation *call);
int command_run_get_shared_config(const struct invocation *call);
int command_run_set_shared_config(const struct invocation *call);
int command_run_save_config(const struct invocation *call);
int command_run_test_alert(const struct invocation *call);
int command_run_reinitialize_lockspace(const struct invocation *call);
int command_run_clean_metadata(const struct invocation *call);
int command_run_dump_whiteboard(const struct invocation *call);
int command_run_discover_storage(const struct invocation *call);
