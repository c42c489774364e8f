/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine VM's consoles, asked of this host's libvirt. */
#pragma once

#include <stddef.h>

#define ENGINE_LIBVIRT_WHY_MAX 512

/* The guest's serial console on stdin and stdout: with stdin a terminal it is raw until the end, which ^] is,
 * the end of either side, or a signal that ends programs. Calls `begin` once it is open. 0, -ENOENT: the VM
 * does not run here; or another -errno with libvirt's words in `why`. */
int engine_console(const char *uri, const char *vmid, void (*begin)(void), char why[ENGINE_LIBVIRT_WHY_MAX]);

/* Gives the VM's VNC display this password for `valid_s` seconds; *ret_address gets where it listens,
 * HOST:PORT. 0 or -errno as above; -ENODEV: it has no VNC display, -EREMOTEIO: the display takes no password.
 */
int engine_vnc_password(const char *uri, const char *vmid, const char *password, int valid_s,
			char *ret_address, size_t size, char why[ENGINE_LIBVIRT_WHY_MAX]);

/* libvirt's uuid of this host. 0 or -errno as above. */
int engine_host_uuid(const char *uri, char ret[37], char why[ENGINE_LIBVIRT_WHY_MAX]);
