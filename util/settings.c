/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whether a value is right for its row, and says what would be. It may not read files (util/keyfile.c
 * does) nor know what a setting is for. Called by the configuration readers, by the test of conf/ and by the
 * commands that change a setting. */
#include "util/settings.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define KEY_MAX 64
/* 1 EiB: whatever is added to it, a whole whiteboard or leases, still is a file offset. */
#define PLACE_OFFSET_MAX (INT64_C(1) << 60)

static int64_t scale_of(const struct setting *s)
{
	return s->scale ? s->scale : 1;
}

static void store_integer(const struct setting *s, void *target, int64_t value)
{
	char *field = (char *)target + s->offset;
	uint32_t u32 = (uint32_t)value;
	uint16_t u16 = (uint16_t)value;
	uint8_t u8 = (uint8_t)value;

	switch (s->size) {
	case 1:
		memcpy(field, &u8, 1);
		break;
	case 2:
		memcpy(field, &u16, 2);
		break;
	case 4:
		memcpy(field, &u32, 4);
		break;
	default:
		assert(s->size == 8);
		memcpy(field, &value, 8);
	}
}

static void write_ms(char *ret, size_t size, int64_t ms)
{
	if (ms && ms % 3600000 == 0)
		snprintf(ret, size, "%" PRId64 " h", ms / 3600000);
	else if (ms && ms % 60000 == 0)
		snprintf(ret, size, "%" PRId64 " min", ms / 60000);
	else if (ms % 1000 == 0)
		snprintf(ret, size, "%" PRId64 " s", ms / 1000);
	else
		snprintf(ret, size, "%" PRId64 " ms", ms);
}

void setting_range(const struct setting *s, char *ret, size_t size)
{
	char low[32], high[32];
	int n = 0;

	switch (s->type) {
	case SETTING_KEPT:
		snprintf(ret, size, "kept, not used");
		break;
	case SETTING_STRING:
		snprintf(ret, size, "text, up to %zu bytes", s->size - 1);
		break;
	case SETTING_INT:
		snprintf(ret, size, "whole number, %" PRId64 " to %" PRId64 "%s%s", s->min, s->max,
			 s->unit ? " " : "", s->unit ? s->unit : "");
		break;
	case SETTING_BOOL:
		snprintf(ret, size, "yes or no");
		break;
	case SETTING_DURATION:
		write_ms(low, sizeof(low), s->min);
		write_ms(high, sizeof(high), s->max);
		snprintf(ret, size, "%s to %s", low, high);
		break;
	case SETTING_PATH:
		snprintf(ret, size, "absolute path");
		break;
	case SETTING_PLACE:
		snprintf(ret, size, "PATH or PATH:OFFSET, offset in bytes, a multiple of 512%s",
			 s->url ? ", or SCHEME://SERVER/.." : "");
		break;
	case SETTING_UUID:
		snprintf(ret, size, "uuid");
		break;
	case SETTING_WORD:
		for (size_t i = 0; s->words[i] && n >= 0 && (size_t)n < size; i++)
			n += snprintf(ret + n, size - (size_t)n, "%s%s",
				      i == 0		? ""
				      : s->words[i + 1] ? ", "
							: " or ",
				      s->words[i]);
		break;
	}
}

/* Digits with an optional sign, nothing else: no blanks, no hex, no overflow. */
static int parse_number(const char *text, size_t length, int64_t *ret)
{
	bool minus = length && text[0] == '-';
	int64_t value = 0;

	if (length == minus)
		return -EINVAL;
	for (size_t i = minus; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text[i] - '0', &value))
			return -ERANGE;
	}
	*ret = minus ? -value : value;
	return 0;
}

static int out_of_range(const struct setting *s, bool below, char *what, size_t size)
{
	char range[160];

	setting_range(s, range, sizeof(range));
	snprintf(what, size, "is %s; give %s", below ? "too small" : "too large", range);
	return -EINVAL;
}

static int not_a(const struct setting *s, const char *thing, char *what, size_t size)
{
	char range[160];

	setting_range(s, range, sizeof(range));
	snprintf(what, size, "is not a %s; give %s", thing, range);
	return -EINVAL;
}

static int parse_integer(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	int64_t number = 0;
	int r = parse_number(value, strlen(value), &number);

	if (r == -EINVAL)
		return not_a(s, "whole number", what, size);
	if (r < 0 || number < s->min || number > s->max)
		return out_of_range(s, value[0] == '-' || (r == 0 && number < s->min), what, size);
	store_integer(s, target, number * scale_of(s));
	return 0;
}

static int parse_duration(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}};
	size_t digits = strspn(value, "-0123456789");
	const char *unit = value + digits;
	int64_t ms = 0;
	int r = parse_number(value, digits, &ms);

	unit += strspn(unit, " ");
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && r != -EINVAL; i++) {
		if (strcmp(unit, units[i].unit) != 0)
			continue;
		if (r == 0 && __builtin_mul_overflow(ms, units[i].ms, &ms))
			r = -ERANGE;
		if (r < 0 || ms < s->min || ms > s->max)
			return out_of_range(s, value[0] == '-' || (r == 0 && ms < s->min), what, size);
		if (ms % scale_of(s) != 0) {
			snprintf(what, size, "is finer than a second; give whole seconds");
			return -EINVAL;
		}
		store_integer(s, target, ms / scale_of(s));
		return 0;
	}
	return not_a(s, "time", what, size);
}

static int parse_bool(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};

	assert(s->size == sizeof(bool));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(value, words[i]) == 0) {
			*(bool *)((char *)target + s->offset) = i % 2;
			return 0;
		}
	snprintf(what, size, "is neither yes nor no; give yes or no");
	return -EINVAL;
}

static int parse_text(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	if (s->type == SETTING_PATH && value[0] && value[0] != '/') {
		snprintf(what, size, "is not an absolute path; begin it with /");
		return -EINVAL;
	}
	if (strlen(value) >= s->size) {
		snprintf(what, size, "is too long; give at most %zu bytes", s->size - 1);
		return -EINVAL;
	}
	memset((char *)target + s->offset, 0, s->size);
	memcpy((char *)target + s->offset, value, strlen(value));
	return 0;
}

static int parse_place(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	struct place place = {0};
	const char *colon = strrchr(value, ':');
	size_t length = strlen(value);
	int64_t offset = 0;

	bool url = s->url && strstr(value, "://");

	assert(s->size == sizeof(place));
	if (!s->url && strstr(value, "://")) {
		snprintf(what, size, "is an address of a server; give the path where this host has it");
		return -EINVAL;
	}
	if (value[0] && value[0] != '/' && !url) {
		snprintf(what, size, "is not an absolute path; begin it with /");
		return -EINVAL;
	}
	/* A colon that is followed by anything but digits belongs to the path. */
	if (!url && colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
		if (parse_number(colon + 1, strlen(colon + 1), &offset) < 0 || offset > PLACE_OFFSET_MAX) {
			snprintf(what, size, "has an offset beyond any device; give PATH:OFFSET in bytes");
			return -EINVAL;
		}
		if (offset % 512 != 0) {
			snprintf(what, size,
				 "has an offset that is no multiple of 512; give PATH:OFFSET in bytes");
			return -EINVAL;
		}
		length = (size_t)(colon - value);
	}
	if (length >= sizeof(place.path)) {
		snprintf(what, size, "is too long; give at most %zu bytes", sizeof(place.path) - 1);
		return -EINVAL;
	}
	memcpy(place.path, value, length);
	place.offset = (uint64_t)offset;
	memcpy((char *)target + s->offset, &place, sizeof(place));
	return 0;
}

static int parse_uuid(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	char uuid[sizeof(form)] = "";

	assert(s->size == sizeof(form));
	for (size_t i = 0; value[0] && i < sizeof(form); i++) {
		char c = value[i] >= 'A' && value[i] <= 'F' ? (char)(value[i] - 'A' + 'a') : value[i];

		if (form[i] == 'x' ? !c || !strchr("0123456789abcdef", c) : c != form[i]) {
			snprintf(what, size,
				 "is not a uuid; give one like 3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60");
			return -EINVAL;
		}
		uuid[i] = c;
	}
	memcpy((char *)target + s->offset, uuid, sizeof(uuid));
	return 0;
}

static int parse_word(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	assert(s->size == 4);
	for (size_t i = 0; s->words[i]; i++)
		if (strcmp(value, s->words[i]) == 0) {
			store_integer(s, target, (int64_t)i);
			return 0;
		}
	return not_a(s, "word for this key", what, size);
}

int setting_parse(const struct setting *s, const char *value, void *target, char *what, size_t size)
{
	const char *wrong;

	if (s->type == SETTING_KEPT)
		return 0;
	if (value[0] == '\0') {
		if (s->fallback[0] != '\0') {
			snprintf(what, size, "is empty; give a value or take the line out (default %s)",
				 s->fallback);
			return -EINVAL;
		}
		memset((char *)target + s->offset, 0, s->size);
		return 0;
	}
	wrong = s->check ? s->check(value) : NULL;
	if (wrong) {
		snprintf(what, size, "%s", wrong);
		return -EINVAL;
	}
	switch (s->type) {
	case SETTING_INT:
		return parse_integer(s, value, target, what, size);
	case SETTING_BOOL:
		return parse_bool(s, value, target, what, size);
	case SETTING_DURATION:
		return parse_duration(s, value, target, what, size);
	case SETTING_STRING:
	case SETTING_PATH:
		return parse_text(s, value, target, what, size);
	case SETTING_PLACE:
		return parse_place(s, value, target, what, size);
	case SETTING_UUID:
		return parse_uuid(s, value, target, what, size);
	case SETTING_WORD:
		return parse_word(s, value, target, what, size);
	case SETTING_KEPT:
		break;
	}
	return 0;
}

void settings_defaults(const struct settings *table, void *target)
{
	char what[256];

	for (size_t i = 0; i < table->n_rows; i++) {
		int r = setting_parse(&table->rows[i], table->rows[i].fallback, target, what, sizeof(what));

		/* The table is ours. */
		assert(r == 0);
	}
}

const struct setting *settings_find(const struct settings *table, const char *section, const char *key)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (strcmp(table->rows[i].section, section) == 0 && strcmp(table->rows[i].key, key) == 0)
			return &table->rows[i];
	return NULL;
}

/* Single-byte edits between two keys; long ones are far from everything. */
static size_t distance(const char *a, const char *b)
{
	size_t row[KEY_MAX + 1], length_a = strlen(a), length_b = strlen(b);

	if (length_a > KEY_MAX || length_b > KEY_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= length_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= length_a; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length_b; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[length_b];
}

static void unknown_key(const struct settings *table, const char *name, unsigned line, const char *section,
			const char *key, const char *value, struct problems *problems)
{
	const struct setting *nearest = NULL;
	size_t nearest_distance = SIZE_MAX;
	bool section_known = false;

	for (size_t i = 0; i < table->n_rows; i++) {
		const struct setting *row = &table->rows[i];
		size_t d = distance(key, row->key);

		if (strcmp(section, row->section) == 0)
			section_known = true;
		else if (d != SIZE_MAX)
			d++;
		if (d < nearest_distance) {
			nearest = row;
			nearest_distance = d;
		}
	}
	/* Only what could be a slip is worth proposing. */
	if (nearest && nearest_distance > 1 + strlen(key) / 3)
		nearest = NULL;
	if (nearest && nearest->section[0])
		problems_add(problems, name, line, key, value, "is unknown in [%s]; did you mean %s in [%s]?",
			     section, nearest->key, nearest->section);
	else if (nearest)
		problems_add(problems, name, line, key, value, "is unknown; did you mean %s?", nearest->key);
	else
		problems_add(problems, name, line, key, value, "%s; take the line out",
			     section_known ? "is unknown" : "stands in an unknown section");
}

int settings_apply(const struct settings *table, const struct keyfile *file, void *target,
		   struct problems *problems)
{
	const char *section, *key, *value;
	char what[256];
	unsigned line;
	int r = 0;

	for (size_t i = 0; keyfile_entry(file, i, &section, &key, &value, &line); i++) {
		const struct setting *row = settings_find(table, section, key);

		if (!row) {
			/* It may be a misspelled secret: the value is not repeated. */
			unknown_key(table, keyfile_name(file), line, section, key,
				    strstr(key, "pass") ? NULL : value, problems);
			r = -EINVAL;
		} else if (setting_parse(row, value, target, what, sizeof(what)) < 0) {
			problems_add(problems, keyfile_name(file), line, key, row->secret ? "***" : value,
				     "%s", what);
			r = -EINVAL;
		}
	}
	return r;
}

void settings_write(const struct settings *table, FILE *out)
{
	const char *section = "", *at = table->title;
	char range[160];

	while (*at) {
		size_t length = strcspn(at, "\n");

		fprintf(out, "# %.*s\n", (int)length, at);
		at += length + (at[length] == '\n');
	}
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct setting *row = &table->rows[i];

		if (row->type == SETTING_KEPT)
			continue;
		if (strcmp(section, row->section) != 0)
			fprintf(out, "\n[%s]\n", row->section);
		section = row->section;
		setting_range(row, range, sizeof(range));
		fprintf(out, "\n# %s (%s)\n#%s=%s\n", row->help, range, row->key, row->fallback);
	}
}
