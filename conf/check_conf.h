/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a service that works on hosts that are not deployed does for -n: the three files. */
#pragma once

/* Says on stderr what is wrong. EXIT_CONFIG or 0; no file at all is nothing wrong. Blocks on the files. */
int check_conf(void);
