/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON as the tools write it: one line of ASCII. */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "util/cleanup.h"

CLEANUP_DEFINE(json_t *, json_decref)

/* The text as a JSON string; what is not UTF-8 shows as `?`. NULL: out of memory. */
json_t *json_text(const char *text, size_t len);
/* The value and a newline. 0, or 1 (an exit code) after it said that memory ran out: a value, or a part of it
 * that could not be made, is NULL then. */
int json_line(const json_t *value, FILE *out);
/* A command's whole answer to stdout, which it takes: the exit code `code`, or 1 when memory ran out. */
int json_answer(json_t *value, int code);
/* 0 false, above true; below: unknown, null. */
json_t *json_known(int yes);
/* The text without its last newline; null for "". NULL is NULL. */
json_t *json_detail(const char *text);
