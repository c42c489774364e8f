/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how text of any origin becomes a JSON string and how a value is written. Called by the printers. */
#include "tools/json_text.h"

#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *text, size_t len)
{
	json_t *string = json_stringn(text, len);
	_cleanup_free_ char *copy = NULL;

	if (string)
		return string;
	copy = malloc(len + 1);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < len; i++)
		copy[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	return json_stringn(copy, len);
}

int json_line(const json_t *value, FILE *out)
{
	if (!value || (json_dumpf(value, out, JSON_ENSURE_ASCII) < 0 && !ferror(out))) {
		fputs("Out of memory\n", stderr);
		return 1;
	}
	fputc('\n', out);
	return 0;
}

int json_answer(json_t *value, int code)
{
	_cleanup_(json_decref_p) json_t *answer = value;

	return json_line(answer, stdout) ? 1 : code;
}

json_t *json_known(int yes)
{
	return yes < 0 ? json_null() : json_boolean(yes);
}

json_t *json_detail(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return NULL;
	return len ? json_text(text, len - (text[len - 1] == '\n')) : json_null();
}
