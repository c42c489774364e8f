/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what a line of a configuration file is, and rewrites files without losing what it does not know. It
 * may not know which keys exist (util/settings.c does). Called by the configuration readers and by the
 * commands that change a setting. */
#include "util/keyfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/file_replace.h"

/* Parsed lines keep their bytes; key and value are set for entries, section alone for headers. */
struct line {
	char *raw;
	char *key;
	char *value;
	unsigned section; /* index of the section it stands in */
	unsigned number;  /* in the file that was read, 0: added since */
};

struct keyfile {
	char *name;
	bool with_sections;
	struct line *lines;
	size_t n_lines;
	size_t n_keys;
	char **sections; /* [0] is "" */
	size_t n_sections;
};

static void line_done(struct line *line)
{
	free(line->raw);
	free(line->key);
	free(line->value);
}

void keyfile_free(struct keyfile *file)
{
	if (!file)
		return;
	for (size_t i = 0; i < file->n_lines; i++)
		line_done(&file->lines[i]);
	for (size_t i = 0; i < file->n_sections; i++)
		free(file->sections[i]);
	free(file->lines);
	free(file->sections);
	free(file->name);
	free(file);
}

/* The index of the section, made when it is new. -ENOMEM. */
static int section_index(struct keyfile *file, const char *name, size_t length)
{
	char **grown, *copy;

	for (size_t i = 0; i < file->n_sections; i++)
		if (strlen(file->sections[i]) == length && memcmp(file->sections[i], name, length) == 0)
			return (int)i;
	grown = reallocarray(file->sections, file->n_sections + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	file->sections = grown;
	copy = strndup(name, length);
	if (!copy)
		return -ENOMEM;
	file->sections[file->n_sections] = copy;
	return (int)file->n_sections++;
}

int keyfile_new(const char *name, bool sections, struct keyfile **ret)
{
	_cleanup_keyfile_ struct keyfile *file = calloc(1, sizeof(*file));

	assert(name && ret);
	if (!file)
		return -ENOMEM;
	file->with_sections = sections;
	file->name = strdup(name);
	if (!file->name || section_index(file, "", 0) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(file);
	return 0;
}

/* Puts a line in at `at`; takes over what the strings point to, also on failure. */
static int line_insert(struct keyfile *file, size_t at, struct line line)
{
	struct line *grown = NULL;

	if (line.raw && (line.key == NULL) == (line.value == NULL))
		grown = reallocarray(file->lines, file->n_lines + 1, sizeof(*grown));
	if (!grown) {
		line_done(&line);
		return -ENOMEM;
	}
	file->lines = grown;
	memmove(&grown[at + 1], &grown[at], (file->n_lines - at) * sizeof(*grown));
	grown[at] = line;
	file->n_lines++;
	file->n_keys += line.key != NULL;
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static void trim(const char **text, size_t *length)
{
	while (*length && blank(**text)) {
		(*text)++;
		(*length)--;
	}
	while (*length && blank((*text)[*length - 1]))
		(*length)--;
}

static ssize_t find_entry(const struct keyfile *file, unsigned section, const char *key, size_t length)
{
	for (size_t i = 0; i < file->n_lines; i++) {
		const struct line *line = &file->lines[i];

		if (line->key && line->section == section && strncmp(line->key, key, length) == 0 &&
		    line->key[length] == '\0')
			return (ssize_t)i;
	}
	return -1;
}

static const char *bad_byte(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\0')
			return "holds a NUL byte; remove it";
		if (c == '\r')
			return "holds a carriage return; save the file with Unix line ends";
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "holds a control character; remove it";
	}
	return NULL;
}

/* One line without its newline. 0 also when it was a problem, said. */
static int parse_line(struct keyfile *file, unsigned number, const char *raw, size_t size, unsigned *section,
		      struct problems *problems)
{
	struct line line = {.section = *section, .number = number};
	const char *text = raw, *equals, *key, *value, *bad = bad_byte(raw, size);
	size_t length = size, key_length, value_length;
	char *shown = NULL;
	ssize_t before;
	int r = 0;

	if (size > KEYFILE_LINE_MAX) {
		problems_add(problems, file->name, number, NULL, NULL, "the line is over 1 MiB; shorten it");
		return 0;
	}
	if (bad) {
		problems_add(problems, file->name, number, NULL, NULL, "%s", bad);
		return 0;
	}
	trim(&text, &length);
	if (length && text[0] == '[') {
		if (!file->with_sections || length < 3 || text[length - 1] != ']' ||
		    memchr(text, ']', length) != text + length - 1 || blank(text[1]) ||
		    blank(text[length - 2])) {
			problems_add(problems, file->name, number, NULL, NULL, "%s",
				     file->with_sections
					     ? "is not a section; write [name]"
					     : "is a section, and this file has none; write KEY=VALUE");
			return 0;
		}
		r = section_index(file, text + 1, length - 2);
		if (r < 0)
			return r;
		*section = line.section = (unsigned)r;
	} else if (length && text[0] != '#' && text[0] != ';') {
		equals = memchr(text, '=', length);
		if (!equals || equals == text) {
			shown = strndup(text, length);
			problems_add(problems, file->name, number, shown ? shown : "", NULL,
				     equals ? "has no key; write KEY=VALUE" : "has no '='; write KEY=VALUE");
			free(shown);
			return 0;
		}
		key = text;
		key_length = (size_t)(equals - text);
		trim(&key, &key_length);
		value = equals + 1;
		value_length = length - (size_t)(value - text);
		trim(&value, &value_length);
		before = find_entry(file, *section, key, key_length);
		if (before >= 0) {
			problems_add(problems, file->name, number, file->lines[before].key, NULL,
				     "stands in line %u already; keep one of the two",
				     file->lines[before].number);
			return 0;
		}
		line.key = strndup(key, key_length);
		line.value = strndup(value, value_length);
	}
	line.raw = strndup(raw, size);
	return line_insert(file, file->n_lines, line);
}

int keyfile_parse(const char *name, const char *text, size_t size, bool sections, struct keyfile **ret,
		  struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct problems silent = {0};
	unsigned section = 0, first, number = 0;
	int r = keyfile_new(name, sections, &file);

	if (r < 0)
		return r;
	if (!problems)
		problems = &silent;
	first = problems->count;
	for (size_t at = 0; at < size;) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t length = end ? (size_t)(end - text) - at : size - at;

		r = parse_line(file, ++number, text + at, length, &section, problems);
		if (r < 0)
			return r;
		at += length + 1;
		if (file->n_keys > KEYFILE_KEYS_MAX || problems->count - first >= KEYFILE_PROBLEMS_MAX) {
			problems_add(problems, name, number, NULL, NULL,
				     "more than can be told; is this the right file?");
			break;
		}
	}
	if (problems->count != first)
		return -EINVAL;
	*ret = TAKE_PTR(file);
	return 0;
}

static int read_all(int fd, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, room = 0;

	for (;;) {
		ssize_t n;

		if (size == room) {
			char *grown;

			room = room ? 2 * room : 8192;
			grown = realloc(text, room);
			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		n = read(fd, text + size, room - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > KEYFILE_SIZE_MAX)
			return -EFBIG;
	}
	*ret = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

int keyfile_load(const char *path, bool sections, struct keyfile **ret, struct problems *problems)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	struct stat st;
	int r = 0;

	/* Not blocking: a FIFO in the place of a file must not stop a daemon. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
	else
		r = read_all(fd, &text, &size);
	if (r == -EFBIG)
		problems_add(problems, path, 0, NULL, NULL, "is over 4 MiB; is this the right file?");
	else if (r == -ENXIO || r == -EISDIR)
		problems_add(problems, path, 0, NULL, NULL, "is not a regular file; put one in its place");
	else if (r < 0)
		problems_add(problems, path, 0, NULL, NULL, "cannot be read: %s; check its owner and mode",
			     strerror(-r));
	if (r < 0)
		return r;
	return keyfile_parse(path, text, size, sections, ret, problems);
}

const char *keyfile_name(const struct keyfile *file)
{
	return file->name;
}

static ssize_t find(const struct keyfile *file, const char *section, const char *key)
{
	for (size_t i = 0; i < file->n_sections; i++)
		if (strcmp(file->sections[i], section) == 0)
			return find_entry(file, (unsigned)i, key, strlen(key));
	return -1;
}

const char *keyfile_get(const struct keyfile *file, const char *section, const char *key)
{
	ssize_t at = find(file, section, key);

	return at < 0 ? NULL : file->lines[at].value;
}

bool keyfile_entry(const struct keyfile *file, size_t i, const char **ret_section, const char **ret_key,
		   const char **ret_value, unsigned *ret_line)
{
	for (size_t at = 0; at < file->n_lines; at++) {
		const struct line *line = &file->lines[at];

		if (!line->key || i-- > 0)
			continue;
		if (ret_section)
			*ret_section = file->sections[line->section];
		if (ret_key)
			*ret_key = line->key;
		if (ret_value)
			*ret_value = line->value;
		if (ret_line)
			*ret_line = line->number;
		return true;
	}
	return false;
}

/* Where a new entry of the section goes: after its last line that is not blank. */
static size_t section_end(const struct keyfile *file, unsigned section)
{
	size_t end = file->n_lines;
	bool found = false;

	for (size_t i = 0; i < file->n_lines; i++)
		if (file->lines[i].section == section && file->lines[i].raw[0] != '\0') {
			end = i + 1;
			found = true;
		}
	return found || section != 0 ? end : 0;
}

static bool readable_back(const char *text, bool is_key)
{
	size_t length = strlen(text), trimmed = length;
	const char *start = text;

	trim(&start, &trimmed);
	if (trimmed != length || bad_byte(text, length) || strchr(text, '\n'))
		return false;
	return !is_key || (length && !strchr(text, '=') && !strchr("#;[", text[0]));
}

int keyfile_set(struct keyfile *file, const char *section, const char *key, const char *value)
{
	ssize_t at = find(file, section, key);
	struct line line = {0};
	size_t known = file->n_sections;
	char *raw;
	int r;

	if (!readable_back(key, true) || (value && !readable_back(value, false)) ||
	    (value && strlen(key) + strlen(value) + 1 > KEYFILE_LINE_MAX) || strpbrk(section, "]\n") ||
	    (section[0] && (!file->with_sections || !readable_back(section, false))))
		return -EINVAL;
	if (!value) {
		if (at < 0)
			return 0;
		line_done(&file->lines[at]);
		memmove(&file->lines[at], &file->lines[at + 1],
			(file->n_lines - (size_t)at - 1) * sizeof(*file->lines));
		file->n_lines--;
		file->n_keys--;
		return 0;
	}
	if (asprintf(&raw, "%s=%s", key, value) < 0)
		return -ENOMEM;
	if (at >= 0) {
		char *copy = strdup(value);

		if (!copy) {
			free(raw);
			return -ENOMEM;
		}
		free(file->lines[at].raw);
		free(file->lines[at].value);
		file->lines[at].raw = raw;
		file->lines[at].value = copy;
		return 0;
	}
	r = section_index(file, section, strlen(section));
	if (r < 0) {
		free(raw);
		return r;
	}
	line = (struct line){.raw = raw, .key = strdup(key), .value = strdup(value), .section = (unsigned)r};
	if ((size_t)r == known) {
		struct line header = {.section = line.section};

		if (asprintf(&header.raw, "[%s]", section) < 0)
			header.raw = NULL;
		r = line_insert(file, file->n_lines, header);
		if (r < 0) {
			line_done(&line);
			return r;
		}
	}
	return line_insert(file, section_end(file, line.section), line);
}

int keyfile_format(const struct keyfile *file, char **ret, size_t *ret_size)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < file->n_lines; i++)
		fprintf(out, "%s\n", file->lines[i].raw);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	*ret_size = size;
	return 0;
}

int keyfile_save(const struct keyfile *file, const char *path, mode_t mode)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = keyfile_format(file, &text, &size);

	return r < 0 ? r : file_replace(path, text, size, mode);
}
