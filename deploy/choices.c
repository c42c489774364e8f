/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides how a line of a list is picked. */
#include "deploy/choices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int choices_add(struct choices *choices, const char *value, const char *about)
{
	struct choice *choice = &choices->all[choices->n];

	if (choices->n == CHOICES_MAX) {
		choices->more++;
		return 0;
	}
	*choice = (struct choice){.value = strdup(value), .about = strdup(about)};
	if (!choice->value || !choice->about) {
		free(choice->value);
		free(choice->about);
		return -ENOMEM;
	}
	choices->n++;
	return 0;
}

static bool numbers(const struct choices *choices)
{
	for (size_t i = 0; i < choices->n; i++)
		if (choices->all[i].value[strspn(choices->all[i].value, "0123456789")] ||
		    strlen(choices->all[i].value) > 20)
			return false;
	return true;
}

const char *choices_label(const struct choices *choices, size_t i, char ret[24])
{
	if (numbers(choices))
		snprintf(ret, 24, "%s", choices->all[i].value);
	else
		snprintf(ret, 24, "%zu", i + 1);
	return ret;
}

const char *choices_pick(const struct choices *choices, const char *typed)
{
	char label[24];

	for (size_t i = 0; i < choices->n; i++)
		if (strcmp(choices_label(choices, i, label), typed) == 0)
			return choices->all[i].value;
	return NULL;
}

void choices_done(struct choices *choices)
{
	for (size_t i = 0; i < choices->n; i++) {
		free(choices->all[i].value);
		free(choices->all[i].about);
	}
	*choices = (struct choices){0};
}
