/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes host blocks. What is written is ASCII and has no separator inside a field, whatever comes in: readers
 * before us count characters, and one of two bytes would hide every later host from them. Called by the
 * broker. */
#include "metadata/record.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "util/cleanup.h"

#define CRC_ZERO "00000000"

CLEANUP_DEFINE(json_t *, json_decref)

/* Text that is being written to a part of the block. */
struct writer {
	char *at;
	size_t left; /* one byte more is there for a NUL */
	bool full;
};

static void __attribute__((format(printf, 2, 3))) put(struct writer *writer, const char *format, ...)
{
	va_list args;
	int length;

	/* With room for its NUL, which the writer owns (see `left`) and the next text overwrites. */
	va_start(args, format);
	length = vsnprintf(writer->at, writer->left + 1, format, args);
	va_end(args);
	if (length < 0 || (size_t)length > writer->left) {
		writer->full = true;
		return;
	}
	writer->at += length;
	writer->left -= (size_t)length;
}

/* Printable ASCII of `text` but for `forbidden`; one `?` for each other character, not for each of its bytes.
 * Returns its length. */
static size_t clean(const char *text, char forbidden, char *ret, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c & 0xc0) == 0x80)
			continue;
		ret[n++] = c < ' ' || c > '~' || c == (unsigned char)forbidden ? '?' : (char)c;
	}
	ret[n] = '\0';
	return n;
}

/* A line of the text part: exactly one `=` in each. */
static void put_key(struct writer *writer, const char *key, const char *value)
{
	char cleaned[RECORD_PENALTIES_SIZE];
	size_t of_key = strlen(key), of_value;

	if (*value == '\0')
		return;
	of_value = clean(value, '=', cleaned, sizeof(cleaned));
	if (of_key + of_value + 2 > writer->left) {
		writer->full = true;
		return;
	}
	memcpy(writer->at, key, of_key);
	writer->at[of_key] = '=';
	memcpy(writer->at + of_key + 1, cleaned, of_value);
	writer->at[of_key + 1 + of_value] = '\n';
	writer->at += of_key + of_value + 2;
	writer->left -= of_key + of_value + 2;
}

static void put_number(struct writer *writer, const char *key, uint64_t value)
{
	if (value != 0)
		put(writer, "%s=%" PRIu64 "\n", key, value);
}

/* Old agents end when vm, health or detail is missing, and when an engine that is up has no health: bad is
 * what STATES publishes before the first is known. */
static int status_text(const struct record *record, char ret[RECORD_TEXT_SIZE])
{
	enum health health = record->claim.health;
	_cleanup_(json_decref_p) json_t *object = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (record->claim.vm == VM_UP && health == HEALTH_UNKNOWN)
		health = HEALTH_BAD;
	object = json_pack("{s:s, s:s, s:s}", "vm", vm_str(record->claim.vm), "health", health_str(health),
			   "detail", detail_str(record->claim.detail));
	if (!object)
		return -ENOMEM;
	if (record->engine_reason[0] && health != HEALTH_GOOD &&
	    json_object_set_new(object, "reason", json_string(record->engine_reason)) < 0)
		return -EINVAL; /* not UTF-8 */
	text = json_dumps(object, JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
	if (!text)
		return -ENOMEM;
	for (const char *c = text; *c; c++) {
		const char *escaped = *c == '|' ? "\\u007c" : *c == '\x7f' ? "\\u007f" : NULL;
		size_t length = escaped ? strlen(escaped) : 1;

		if (n + length >= RECORD_TEXT_SIZE)
			return -EMSGSIZE;
		memcpy(ret + n, escaped ? escaped : c, length);
		n += length;
	}
	ret[n] = '\0';
	return 0;
}

/* The sum is over the line with zeros in its place. */
static int line_text(const struct record *record, const char *status, char *ret)
{
	struct writer writer = {ret, RECORD_LINE_MAX, false};
	char hostname[RECORD_TEXT_SIZE], crc[sizeof(CRC_ZERO)], *crc_at;

	clean(record->hostname, '|', hostname, sizeof(hostname));
	put(&writer, "%d|%d|%" PRIu64 "|%u|%d|%s|%s|%d|%d|", RECORD_VERSION, RECORD_VERSION,
	    record->claim.timestamp, record->host_id, record->claim.score, status, hostname,
	    record->claim.maintenance, record->claim.stopped);
	crc_at = writer.at;
	put(&writer, CRC_ZERO "|%d|%" PRIu64, record->config_shared, record->config_timestamp);
	if (writer.full)
		return -EMSGSIZE;
	snprintf(crc, sizeof(crc), "%08x",
		 (uint32_t)crc32(crc32(0, NULL, 0), (const Bytef *)ret, (uInt)(writer.at - ret)));
	memcpy(crc_at, crc, sizeof(crc) - 1);
	return 0;
}

void record_time_text(int64_t wall, char ret[RECORD_WORD_SIZE])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t seconds = wall;
	struct tm tm;

	if (!localtime_r(&seconds, &tm)) {
		snprintf(ret, RECORD_WORD_SIZE, "%" PRId64, wall);
		return;
	}
	snprintf(ret, RECORD_WORD_SIZE, "%s %s %2d %02d:%02d:%02d %d", days[tm.tm_wday], months[tm.tm_mon],
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
}

static int extra_text(const struct record *record, int64_t wall, char *ret)
{
	struct writer writer = {ret, BLOCK_SIZE - RECORD_LINE_MAX, false};
	const struct claim *claim = &record->claim;
	char now[RECORD_WORD_SIZE], config[RECORD_WORD_SIZE];

	record_time_text(wall, now);
	/* Never refreshed: the epoch, as ever. */
	record_time_text(record->config_timestamp == 0
				 ? 0
				 : wall - (int64_t)(claim->timestamp - record->config_timestamp),
			 config);
	put(&writer, "metadata_parse_version=%d\nmetadata_feature_version=%d\n", RECORD_VERSION,
	    RECORD_VERSION);
	put(&writer, "timestamp=%" PRIu64 " (%s)\n", claim->timestamp, now);
	put(&writer, "host-id=%u\nscore=%d\n", record->host_id, claim->score);
	put(&writer, "vm_conf_refresh_time=%" PRIu64 " (%s)\n", record->config_timestamp, config);
	put_key(&writer, "conf_on_shared_storage", record->config_shared ? "True" : "False");
	put_key(&writer, "maintenance", claim->maintenance ? "True" : "False");
	put_key(&writer, "state", record->state);
	put_key(&writer, "stopped", claim->stopped ? "True" : "False");
	put_key(&writer, "timeout", record->timeout);
	put_number(&writer, "generation", claim->generation);
	put_number(&writer, "io_timeout", claim->io_timeout_s);
	if (claim->io_timeout_s != 0)
		put(&writer, "watchdog_fire_timeout=%u\n", claim->watchdog_fire_s);
	put_number(&writer, "migrating_to", claim->migrating_to);
	put_key(&writer, "penalties", record->penalties);
	put_key(&writer, "reason", record->reason);
	put_key(&writer, "version", record->version);
	return writer.full ? -EMSGSIZE : 0;
}

int record_encode(const struct record *record, int64_t wall, uint8_t ret[BLOCK_SIZE])
{
	char block[BLOCK_SIZE + 1] = {0}, status[RECORD_TEXT_SIZE];
	int r;

	assert(record->host_id >= 1 && record->host_id <= HOST_ID_MAX);
	r = status_text(record, status);
	if (r == 0)
		r = line_text(record, status, block);
	if (r == 0)
		r = extra_text(record, wall, block + RECORD_LINE_MAX);
	if (r < 0)
		return r;
	memcpy(ret, block, BLOCK_SIZE);
	return 0;
}
