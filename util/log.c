/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides where a line goes: to the journal's socket with its key=value words as fields, or to stderr. It may
 * not block on the journal, so it speaks the journal's documented datagram protocol on a socket that does not
 * wait: what does not fit is counted, and the count is said once there is room. Called by everybody who
 * handles an error instead of returning it. */
#include "util/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util/cleanup.h"

#define LINE_MAX_BYTES (128 * 1024) /* below the smallest usual limit of a datagram, fields included */
#define FIELDS_MAX 24
#define FIELD_MAX 64 /* bytes of a value that is worth a field */

static struct {
	const char *name;
	bool verbose;
	int journal; /* -1: stderr */
	unsigned long lost;
} target = {.name = "ovirt-ha", .journal = -1};

/* systemd names device and inode of the stream it gave as stderr; a redirected stderr is not the journal's.
 */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static int journal_connect(void)
{
	static const struct sockaddr_un address = {.sun_family = AF_UNIX,
						   .sun_path = "/run/systemd/journal/socket"};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int size = 8 * LINE_MAX_BYTES;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return TAKE_FD(fd);
}

void log_open(const char *name, bool verbose)
{
	assert(name);
	target.name = name;
	target.verbose = verbose;
	if (target.journal < 0 && stderr_is_journal())
		target.journal = journal_connect();
}

/* Words like `reason=best-score` become HA_REASON=best-score. */
static void put_fields(FILE *out, const char *line)
{
	unsigned n = 0;

	for (const char *word = line; *word && n < FIELDS_MAX; word += strspn(word, " ")) {
		size_t length = strcspn(word, " "), key = 0;

		while (key < length && ((word[key] >= 'a' && word[key] <= 'z') || (key && word[key] == '_')))
			key++;
		if (key && key < FIELD_MAX / 2 && key < length && word[key] == '=' &&
		    length - key <= FIELD_MAX) {
			fputs("HA_", out);
			for (size_t i = 0; i < key; i++)
				fputc(word[i] == '_' ? '_' : word[i] - 'a' + 'A', out);
			fprintf(out, "%.*s\n", (int)(length - key), word + key);
			n++;
		}
		word += length;
	}
}

static int journal_send(int priority, const char *line)
{
	_cleanup_free_ char *datagram = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&datagram, &size);

	if (!out)
		return -ENOMEM;
	fprintf(out, "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", line, priority, target.name);
	put_fields(out, line);
	if (fclose(out) != 0)
		return -ENOMEM;
	return send(target.journal, datagram, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The journal restarts with a new socket: connect again, once per line. */
static void to_journal(int priority, const char *line)
{
	char note[64];
	int r = journal_send(priority, line);

	if (r < 0 && r != -EAGAIN && r != -ENOMEM) {
		int fd = journal_connect();

		if (fd >= 0) {
			close(target.journal);
			target.journal = fd;
			r = journal_send(priority, line);
		}
	}
	if (r < 0) {
		target.lost++;
		return;
	}
	if (target.lost) {
		snprintf(note, sizeof(note), "log: lines lost before this one count=%lu", target.lost);
		if (journal_send(LOG_WARNING, note) == 0)
			target.lost = 0;
	}
}

/* Whatever came from disk or network must not drive a terminal. */
static char *escape(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t length = strnlen(text, LINE_MAX_BYTES), n = 0;
	char *line = malloc(4 * length + 1);

	if (!line)
		return NULL;
	for (size_t i = 0; i < length && n < LINE_MAX_BYTES - 4; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f) {
			line[n++] = (char)c;
		} else {
			line[n++] = '\\';
			line[n++] = 'x';
			line[n++] = digits[c >> 4];
			line[n++] = digits[c & 15];
		}
	}
	line[n] = '\0';
	return line;
}

bool log_wants(int priority)
{
	return priority != LOG_DEBUG || target.verbose;
}

void log_line(int priority, const char *format, ...)
{
	static const char *const words[] = {"emergency", "alert",  "critical", "error",
					    "warning",	 "notice", "info",     "debug"};
	_cleanup_free_ char *text = NULL, *line = NULL;
	int saved = errno;
	va_list args;
	int r;

	_Static_assert(sizeof(words) / sizeof(words[0]) == LOG_DEBUG + 1, "a priority without a word");
	assert(priority >= 0 && priority <= LOG_DEBUG);
	if (!log_wants(priority))
		return;
	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	if (r < 0)
		text = NULL;
	line = text ? escape(text) : NULL;
	if (target.journal >= 0)
		to_journal(priority, line ? line : "log: out of memory");
	else
		fprintf(stderr, "%s: %s: %s\n", target.name, words[priority],
			line ? line : "log: out of memory");
	errno = saved;
}
