/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who on this host writes to a file or disk now: sanlock that has joined a lockspace there, a QEMU, a loop
 * device. What takes a disk for itself (a mount, a volume group) the kernel tells. */
#pragma once

#include <sys/stat.h>

#include "storage/content_probe.h"

/* 1: somebody does, `ret` names him; 0: nobody was found. What can't be looked at is not found: other hosts,
 * and without root other users' processes. */
int use_find(const struct stat *file, char ret[CONTENT_TEXT_SIZE]);
