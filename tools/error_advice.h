/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an operator does next about a file, or a part of the shared storage, that could not be read or
 * written. The commands of tools/ put it behind the error. */
#pragma once

/* Of 0 or -errno: "; " and words, or "" where nobody can say. */
const char *error_advice(int error);
