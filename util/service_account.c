/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks the service's user and group up. It decides nothing about what they may do. Called at the start of
 * each program that checks who is at the other end. */
#include "util/service_account.h"

#include <grp.h>
#include <pwd.h>

void service_account_find(struct service_account *ret)
{
	const struct passwd *user = getpwnam(SERVICE_ACCOUNT);
	const struct group *group = getgrnam(SERVICE_ACCOUNT);

	*ret = (struct service_account){.has_user = user, .has_group = group};
	if (user)
		ret->uid = user->pw_uid;
	if (group)
		ret->gid = group->gr_gid;
}
