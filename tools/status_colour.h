/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of --vm-status for a terminal. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* `out` is a terminal, and the environment does not have NO_COLOR (which then is not empty). */
bool status_colour_wanted(FILE *out);
/* What status_put_text() wrote, with the lines in colour that an operator looks for first. */
void status_put_coloured(const char *text, FILE *out);
