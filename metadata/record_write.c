/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes host blocks. What is written is ASCII and has no separator inside a field, whatever comes in: readers
 * before us count characters, and one of two bytes would hide every later host from them. Called by the
 * broker. */
#include "metadata/record.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "util/cleanup.h"

#define CRC_ZERO "00000000"

CLEANUP_DEFINE(json_t *, json_decref)

/* Text that is being written to a part of the block. Of a full one nothing more is true. */
struct writer {
	char *at;
	size_t left;
	bool full;
};

static void put_bytes(struct writer *writer, const char *bytes, size_t length)
{
	if (length > writer->left) {
		writer->full = true;
		return;
	}
	memcpy(writer->at, bytes, length);
	writer->at += length;
	writer->left -= length;
}

static void put(struct writer *writer, const char *text)
{
	put_bytes(writer, text, strlen(text));
}

/* By hand: each write has a dozen numbers, for which printf() takes as long as for all the rest of it. */
static void put_number(struct writer *writer, uint64_t value)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	put_bytes(writer, at, (size_t)(digits + sizeof(digits) - at));
}

static void put_signed(struct writer *writer, int64_t value)
{
	if (value < 0)
		put(writer, "-");
	put_number(writer, value < 0 ? -(uint64_t)value : (uint64_t)value);
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

	if (*value == '\0')
		return;
	put(writer, key);
	put(writer, "=");
	put_bytes(writer, cleaned, clean(value, '=', cleaned, sizeof(cleaned)));
	put(writer, "\n");
}

static void put_key_number(struct writer *writer, const char *key, uint64_t value)
{
	put(writer, key);
	put(writer, "=");
	put_number(writer, value);
	put(writer, "\n");
}

/* Nothing in it has to be escaped: so are the reasons that we know. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\' || *text == '|')
			return false;
	return true;
}

static int put_escaped(struct writer *writer, const char *text)
{
	_cleanup_(json_decref_p) json_t *string = json_string(text);
	_cleanup_free_ char *quoted = NULL;

	if (!string)
		return -EINVAL; /* not UTF-8 */
	quoted = json_dumps(string, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	if (!quoted)
		return -ENOMEM;
	for (const char *c = quoted; *c; c++)
		if (*c == '|' || *c == '\x7f')
			put(writer, *c == '|' ? "\\u007c" : "\\u007f");
		else
			put_bytes(writer, c, 1);
	return 0;
}

/* Old agents end when vm, health or detail is missing, and when an engine that is up has no health: bad is
 * what STATES publishes before the first is known. */
static int put_status(struct writer *writer, const struct record *record)
{
	enum health health = record->claim.health;
	int r = 0;

	if (record->claim.vm == VM_UP && health == HEALTH_UNKNOWN)
		health = HEALTH_BAD;
	put(writer, "{\"vm\": \"");
	put(writer, vm_str(record->claim.vm));
	put(writer, "\", \"health\": \"");
	put(writer, health_str(health));
	put(writer, "\", \"detail\": \"");
	put(writer, detail_str(record->claim.detail));
	put(writer, "\"");
	if (record->engine_reason[0] && health != HEALTH_GOOD) {
		put(writer, ", \"reason\": ");
		if (is_plain(record->engine_reason)) {
			put(writer, "\"");
			put(writer, record->engine_reason);
			put(writer, "\"");
		} else {
			r = put_escaped(writer, record->engine_reason);
		}
	}
	put(writer, "}");
	return r;
}

static void put_field(struct writer *writer, uint64_t value)
{
	put_number(writer, value);
	put(writer, "|");
}

/* The sum is over the line with zeros in its place. */
static int line_text(const struct record *record, char *ret)
{
	struct writer writer = {ret, RECORD_LINE_MAX, false};
	char hostname[RECORD_TEXT_SIZE], *crc_at;
	uint32_t crc;
	int r;

	put_field(&writer, RECORD_VERSION);
	put_field(&writer, RECORD_VERSION);
	put_field(&writer, record->claim.timestamp);
	put_field(&writer, record->host_id);
	put_signed(&writer, record->claim.score);
	put(&writer, "|");
	r = put_status(&writer, record);
	if (r < 0)
		return r;
	put(&writer, "|");
	put_bytes(&writer, hostname, clean(record->hostname, '|', hostname, sizeof(hostname)));
	put(&writer, record->claim.maintenance ? "|1" : "|0");
	put(&writer, record->claim.stopped ? "|1|" : "|0|");
	crc_at = writer.at;
	put(&writer, CRC_ZERO);
	put(&writer, record->config_shared ? "|1|" : "|0|");
	put_number(&writer, record->config_timestamp);
	if (writer.full)
		return -EMSGSIZE;
	crc = (uint32_t)crc32(crc32(0, NULL, 0), (const Bytef *)ret, (uInt)(writer.at - ret));
	for (size_t i = sizeof(CRC_ZERO) - 1; i-- > 0; crc >>= 4)
		crc_at[i] = "0123456789abcdef"[crc % 16];
	return 0;
}

static void two_digits(char *ret, int value, char blank)
{
	ret[0] = value < 10 ? blank : (char)('0' + value / 10);
	ret[1] = (char)('0' + value % 10);
}

void record_time_text(int64_t wall, char ret[RECORD_WORD_SIZE])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct writer writer = {ret + 20, RECORD_WORD_SIZE - 21, false};
	time_t seconds = wall;
	struct tm tm;

	if (!localtime_r(&seconds, &tm)) {
		snprintf(ret, RECORD_WORD_SIZE, "%" PRId64, wall);
		return;
	}
	memcpy(ret, "Thu Jan  1 00:00:00 ", 20);
	memcpy(ret, days[tm.tm_wday], 3);
	memcpy(ret + 4, months[tm.tm_mon], 3);
	two_digits(ret + 8, tm.tm_mday, ' ');
	two_digits(ret + 11, tm.tm_hour, '0');
	two_digits(ret + 14, tm.tm_min, '0');
	two_digits(ret + 17, tm.tm_sec, '0');
	put_signed(&writer, (int64_t)tm.tm_year + 1900);
	*writer.at = '\0';
}

static void put_moment(struct writer *writer, const char *key, uint64_t timestamp, int64_t wall)
{
	char text[RECORD_WORD_SIZE];

	record_time_text(wall, text);
	put(writer, key);
	put(writer, "=");
	put_number(writer, timestamp);
	put(writer, " (");
	put(writer, text);
	put(writer, ")\n");
}

static int extra_text(const struct record *record, int64_t wall, char *ret)
{
	struct writer writer = {ret, BLOCK_SIZE - RECORD_LINE_MAX, false};
	const struct claim *claim = &record->claim;
	/* Never refreshed: the epoch, as ever. */
	int64_t refreshed = record->config_timestamp == 0
				    ? 0
				    : wall - (int64_t)(claim->timestamp - record->config_timestamp);

	put_key_number(&writer, "metadata_parse_version", RECORD_VERSION);
	put_key_number(&writer, "metadata_feature_version", RECORD_VERSION);
	put_moment(&writer, "timestamp", claim->timestamp, wall);
	put_key_number(&writer, "host-id", record->host_id);
	put(&writer, "score=");
	put_signed(&writer, claim->score);
	put(&writer, "\n");
	put_moment(&writer, "vm_conf_refresh_time", record->config_timestamp, refreshed);
	put_key(&writer, "conf_on_shared_storage", record->config_shared ? "True" : "False");
	put_key(&writer, "maintenance", claim->maintenance ? "True" : "False");
	put_key(&writer, "state", record->state);
	put_key(&writer, "stopped", claim->stopped ? "True" : "False");
	put_key(&writer, "timeout", record->timeout);
	if (claim->generation != 0)
		put_key_number(&writer, "generation", claim->generation);
	if (claim->io_timeout_s != 0) {
		put_key_number(&writer, "io_timeout", claim->io_timeout_s);
		put_key_number(&writer, "watchdog_fire_timeout", claim->watchdog_fire_s);
	}
	if (claim->migrating_to != 0)
		put_key_number(&writer, "migrating_to", claim->migrating_to);
	put_key(&writer, "penalties", record->penalties);
	put_key(&writer, "reason", record->reason);
	put_key(&writer, "version", record->version);
	return writer.full ? -EMSGSIZE : 0;
}

int record_encode(const struct record *record, int64_t wall, uint8_t ret[BLOCK_SIZE])
{
	char block[BLOCK_SIZE] = {0};
	int r;

	assert(record->host_id >= 1 && record->host_id <= HOST_ID_MAX);
	r = line_text(record, block);
	if (r == 0)
		r = extra_text(record, wall, block + RECORD_LINE_MAX);
	if (r < 0)
		return r;
	memcpy(ret, block, BLOCK_SIZE);
	return 0;
}
