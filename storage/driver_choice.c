/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides by which driver storage is connected that is not connected yet. Called by storage_service.c, and by
 * deployment, which lays some storage out in another way where the kernel has no client. */
#include <stdio.h>
#include <string.h>

#include "storage/storage_driver.h"

const struct storage_driver *const storage_drivers[] = {&storage_kernel, &storage_userspace, NULL};

const struct storage_driver *storage_driver_choose(const struct storage_driver *const *drivers,
						   const struct storage_world *world,
						   const struct engine_conf *conf, char why[STORAGE_WHY_SIZE])
{
	static const char *const words[STORAGE_CHOICE_COUNT] = {
		[STORAGE_KERNEL] = "kernel", [STORAGE_USERSPACE] = "userspace"};
	const char *forced = words[conf->storage_driver];
	char first[STORAGE_WHY_SIZE] = "";

	snprintf(why, STORAGE_WHY_SIZE, "there is no such driver");
	for (; *drivers; drivers++) {
		if (forced && strcmp((*drivers)->name, forced) != 0)
			continue;
		if ((*drivers)->probe(world, conf, why) == 0)
			return *drivers;
		if (!first[0])
			memcpy(first, why, sizeof(first));
	}
	if (first[0])
		memcpy(why, first, sizeof(first));
	return NULL;
}
