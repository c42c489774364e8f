/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks the engine's health page once, for --check-liveliness. The broker's own monitor is another: this one
 * may block. */
#pragma once

#define LIVELINESS_WHY_SIZE 256

/* 1: it is up. 0: it is not, as far as can be seen from here. -EINVAL: the address or the certificates are of
 * no use. `why` says what was wrong, "" for 1, in printable ASCII. `ca` is a file of certificates for https,
 * "": the system's. Blocks up to 10 s. */
int liveliness_ask(const char *url, const char *ca, char why[LIVELINESS_WHY_SIZE]);
