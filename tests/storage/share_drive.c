/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain in a folder that a server exports, for test_shares.py: `share_drive ACT PATH [UUID [MIB]]` with
 * ACT one of format, force, read, vacant, erase, and MIB the disk's. Says what came of it on one line: the
 * error's number, and the domain's uuid or the reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/domain.h"

#define DISK_MIB 64

int main(int argc, char *argv[])
{
	const char *act = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "",
		   *uuid = argc > 3 ? argv[3] : "";
	struct domain_request request = {.path = path,
					 .identity = {.lockspace = "hosted-engine"},
					 .disk_size = (argc > 4 ? strtoull(argv[4], NULL, 10) : DISK_MIB) *
						      DOMAIN_MIB,
					 .io_timeout_s = 1,
					 .uid = DOMAIN_OWNER_ID,
					 .gid = DOMAIN_OWNER_ID,
					 .force = strcmp(act, "force") == 0};
	struct domain *domain = calloc(1, sizeof(*domain));
	char why[DOMAIN_WHY_SIZE] = "";
	int r;

	if (!domain)
		return 1;
	snprintf(request.identity.domain, sizeof(request.identity.domain), "%s", uuid);
	if (strcmp(act, "read") == 0)
		r = domain_read(path, 0, domain, why);
	else if (strcmp(act, "vacant") == 0)
		r = domain_vacant(path, 0, why);
	else if (strcmp(act, "erase") == 0)
		r = domain_erase(path, uuid, 0, why);
	else
		r = domain_format(&request, domain, why);
	printf("%d %s\n", -r, r == 0 ? domain->identity.domain : why);
	free(domain);
	return 0;
}
