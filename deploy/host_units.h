/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Services of a host, by systemctl(1). Between the files of host_setup.h alone. */
#pragma once

#include "deploy/setup_record.h"

/* Those of the step: enabled, running, and restarted where a file that they read is newer than they are. 0,
 * or -errno with a line in the text, as host_setup_do(). */
int host_units_do(struct setup_record *record, enum host_setup_step step);
int host_units_undo(struct setup_record *record, enum host_setup_step step);

/* Ends the way back of libvirt's files: libvirtd, if it runs, with what they say now. */
int host_units_restart_libvirtd(struct setup_record *record);
/* systemd sees what changed of its units. */
int host_units_reload(struct setup_record *record);
