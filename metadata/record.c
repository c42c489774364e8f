/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads host blocks and judges whether they can be used. Reads the fields in the order in which the versions
 * before us did, so that a block with several faults is called by the same one. May not believe anything
 * outside the checked line but for the keys that decisions need (struct claim). Called by the slots of the
 * broker and by the tools; record_write.c is the other way. */
#include "metadata/record.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "metadata/padding.h"

#define FIELDS_MIN 7
#define FIELDS_MAX 12
#define CRC_DIGITS 8

_Static_assert(BLOCK_SIZE <= UINT16_MAX, "offsets in a block fit their type");

/* A piece of the block. */
struct piece {
	const char *at;
	size_t length;
};

/* Jansson knows what UTF-8 is; almost every block is plain ASCII and need not ask it. */
static bool utf8_valid(const uint8_t *bytes, size_t length)
{
	uint64_t high = 0, word;
	json_t *text;
	size_t i = 0;

	for (; i + sizeof(word) <= length; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		high |= word;
	}
	for (; i < length; i++)
		high |= (uint64_t)bytes[i] << 56;
	if (!(high & 0x8080808080808080))
		return true;
	text = json_stringn((const char *)bytes, length);
	json_decref(text);
	return text != NULL;
}

/* Decimal digits, nothing else: no sign, blank or underscore. Returns false for what is no number or above
 * `max`. */
static bool parse_number(struct piece piece, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (piece.length == 0)
		return false;
	for (size_t i = 0; i < piece.length; i++) {
		unsigned digit = (unsigned char)piece.at[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

static void copy_text(char *ret, size_t size, struct piece piece)
{
	size_t length = piece.length < size ? piece.length : size - 1;

	memcpy(ret, piece.at, length);
	ret[length] = '\0';
}

static bool piece_is(struct piece piece, const char *text)
{
	return strlen(text) == piece.length && memcmp(piece.at, text, piece.length) == 0;
}

static bool piece_skip(struct piece *piece, const char *text)
{
	size_t length = strlen(text);

	if (piece->length < length || memcmp(piece->at, text, length) != 0)
		return false;
	piece->at += length;
	piece->length -= length;
	return true;
}

static struct piece piece_until(struct piece *rest, char end)
{
	const char *found = memchr(rest->at, end, rest->length);
	struct piece piece = {rest->at, found ? (size_t)(found - rest->at) : rest->length};
	size_t taken = found ? piece.length + 1 : piece.length;

	rest->at += taken;
	rest->length -= taken;
	return piece;
}

struct status {
	struct piece vm, health, detail, reason;
};

/* A quoted value without escapes. */
static bool status_value(struct piece *rest, const char *before, struct piece *ret)
{
	if (!piece_skip(rest, before) || !memchr(rest->at, '"', rest->length))
		return false;
	*ret = piece_until(rest, '"');
	return !memchr(ret->at, '\\', ret->length);
}

/* The shape that every writer known uses, spaces included. */
static bool status_plain(struct piece text, struct status *ret)
{
	struct status found = {0};

	for (size_t i = 0; i < text.length; i++)
		if ((unsigned char)text.at[i] < ' ')
			return false;
	if (!status_value(&text, "{\"vm\": \"", &found.vm) ||
	    !status_value(&text, ", \"health\": \"", &found.health) ||
	    !status_value(&text, ", \"detail\": \"", &found.detail))
		return false;
	if (!piece_is(text, "}") &&
	    (!status_value(&text, ", \"reason\": \"", &found.reason) || !piece_is(text, "}")))
		return false;
	*ret = found;
	return true;
}

static struct piece json_piece(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_string(value) ? (struct piece){json_string_value(value), json_string_length(value)}
				     : (struct piece){"", 0};
}

/* Index of the word, 0 (unknown in all three tables) when it is none of them. */
static int word_index(int (*parse)(const char *), struct piece piece)
{
	char word[RECORD_WORD_SIZE];
	int index;

	if (piece.length >= sizeof(word) || memchr(piece.at, '\0', piece.length))
		return 0;
	copy_text(word, sizeof(word), piece);
	index = parse(word);
	return index < 0 ? 0 : index;
}

static void take_status(const struct status *status, struct record *record)
{
	record->claim.vm = word_index(vm_parse, status->vm);
	record->claim.health = word_index(health_parse, status->health);
	record->claim.detail = word_index(detail_parse, status->detail);
	copy_text(record->engine_reason, sizeof(record->engine_reason), status->reason);
}

/* What is no JSON object, or has other words, is an engine that nobody knows; the host is as good as before.
 */
static void parse_status(struct piece text, struct record *record)
{
	struct status status = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};
	json_t *object;

	copy_text(record->status, sizeof(record->status), text);
	if (status_plain(text, &status)) {
		if (!status.reason.at)
			status.reason = (struct piece){"", 0};
		take_status(&status, record);
		return;
	}
	object = json_loadb(text.at, text.length, JSON_ALLOW_NUL, NULL);
	status = (struct status){json_piece(object, "vm"), json_piece(object, "health"),
				 json_piece(object, "detail"), json_piece(object, "reason")};
	take_status(&status, record);
	json_decref(object);
}

static bool crc_parse(struct piece field, uint32_t *ret)
{
	uint32_t value = 0;

	if (field.length != CRC_DIGITS)
		return false;
	for (size_t i = 0; i < field.length; i++) {
		char c = field.at[i];

		/* Lower case only: the readers before us compare it as text. */
		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = value;
	return true;
}

/* Over the whole line with the field's own digits as zeros. */
static uint32_t crc_of(struct piece line, struct piece field)
{
	uLong crc = crc32(0, NULL, 0);
	size_t before = (size_t)(field.at - line.at);

	crc = crc32(crc, (const Bytef *)line.at, (uInt)before);
	crc = crc32(crc, (const Bytef *)"00000000", CRC_DIGITS);
	return (uint32_t)crc32(crc, (const Bytef *)field.at + field.length,
			       (uInt)(line.length - before - field.length));
}

static enum record_fault bad(char *cause, const char *text)
{
	snprintf(cause, RECORD_CAUSE_SIZE, "%s", text);
	return RECORD_BAD;
}

static enum record_fault parse_versions(struct piece line, const struct piece *fields, size_t n_fields,
					struct record *record, char *cause)
{
	bool minus;
	size_t digits = 0;
	uint64_t value;

	/* A newer writer may have another line altogether: only the digits it begins with are looked at
	 * before its version is. */
	while (digits < line.length && line.at[digits] >= '0' && line.at[digits] <= '9')
		digits++;
	if (digits == 0)
		return bad(cause, "parse version is not a number");
	if (!parse_number((struct piece){line.at, digits}, RECORD_VERSION, &value)) {
		snprintf(cause, RECORD_CAUSE_SIZE,
			 "written by a newer version (format %.*s, this host knows %d)",
			 digits > 9 ? 9 : (int)digits, line.at, RECORD_VERSION);
		return RECORD_TOO_NEW;
	}
	record->parse_version = (uint32_t)value;
	if (n_fields < FIELDS_MIN) {
		snprintf(cause, RECORD_CAUSE_SIZE, "%zu of at least %d fields", n_fields, FIELDS_MIN);
		return RECORD_BAD;
	}
	if (fields[0].length != digits)
		return bad(cause, "parse version is not a number");
	minus = fields[1].length > 0 && fields[1].at[0] == '-';
	if (!parse_number((struct piece){fields[1].at + minus, fields[1].length - minus}, UINT32_MAX, &value))
		return bad(cause, "feature version is not a number");
	if (minus || value < RECORD_VERSION) {
		snprintf(cause, RECORD_CAUSE_SIZE, "written by a version too old (feature level below %d)",
			 RECORD_VERSION);
		return RECORD_TOO_OLD;
	}
	record->feature_version = (uint32_t)value;
	return RECORD_OK;
}

static size_t split_line(struct piece line, struct piece fields[FIELDS_MAX])
{
	size_t n_fields = 0, before;

	/* Nothing was cut off behind a field: it was the last. */
	do {
		before = line.length;
		fields[n_fields++] = piece_until(&line, '|');
	} while (n_fields < FIELDS_MAX && before != fields[n_fields - 1].length);
	return n_fields;
}

static enum record_fault parse_line(struct piece line, uint16_t slot, struct record *record, char *cause)
{
	struct piece fields[FIELDS_MAX];
	size_t n_fields = split_line(line, fields);
	uint64_t value, host_id;
	uint32_t computed;
	enum record_fault fault;

	fault = parse_versions(line, fields, n_fields, record, cause);
	if (fault != RECORD_OK)
		return fault;
	record->n_fields = (uint8_t)n_fields;
	if (memchr(line.at, '\0', line.length))
		return bad(cause, "NUL inside the line");
	if (!parse_number(fields[2], UINT64_MAX, &record->claim.timestamp))
		return bad(cause, "timestamp is not a number");
	if (!parse_number(fields[4], INT32_MAX, &value))
		return bad(cause, "score is not a number");
	record->claim.score = (int32_t)value;
	parse_status(fields[5], record);
	copy_text(record->hostname, sizeof(record->hostname), fields[6]);
	if (n_fields > 7) {
		if (!parse_number(fields[7], UINT64_MAX, &value))
			return bad(cause, "local maintenance is not a number");
		record->claim.maintenance = value > 0;
	}
	if (n_fields > 8) {
		if (!parse_number(fields[8], UINT64_MAX, &value))
			return bad(cause, "stopped is not a number");
		record->claim.stopped = value > 0;
	}
	if (n_fields > 9) {
		computed = crc_of(line, fields[9]);
		if (!crc_parse(fields[9], &record->crc)) {
			snprintf(cause, RECORD_CAUSE_SIZE, "CRC is not 8 hex digits, should be %08x",
				 computed);
			return RECORD_BAD;
		}
		if (record->crc != computed) {
			snprintf(cause, RECORD_CAUSE_SIZE, "CRC is %08x, should be %08x", record->crc,
				 computed);
			return RECORD_BAD;
		}
	}
	if (n_fields > 11) {
		if (!parse_number(fields[10], UINT64_MAX, &value))
			return bad(cause, "configuration on shared storage is not a number");
		record->config_shared = value > 0;
		if (!parse_number(fields[11], UINT64_MAX, &record->config_timestamp))
			return bad(cause, "configuration's timestamp is not a number");
	}
	/* Last: a damaged line says nothing about its host. A good one in a foreign block is a misplaced
	 * write or a clone. */
	if (!parse_number(fields[3], UINT64_MAX, &host_id))
		return bad(cause, "host id is not a number");
	if (host_id != slot) {
		snprintf(cause, RECORD_CAUSE_SIZE, "record of host id %llu in the block of host id %u",
			 (unsigned long long)host_id, slot);
		return RECORD_BAD;
	}
	record->host_id = slot;
	return RECORD_OK;
}

/* The text's own keys. A value that makes no sense counts as not written. `same_write`: its timestamp is the
 * line's. */
static void parse_extra_line(struct piece line, struct record *record, bool *same_write)
{
	struct piece key = piece_until(&line, '=');
	struct claim *claim = &record->claim;
	uint64_t value;

	if (piece_is(key, "state"))
		copy_text(record->state, sizeof(record->state), line);
	else if (piece_is(key, "timeout"))
		copy_text(record->timeout, sizeof(record->timeout), line);
	else if (piece_is(key, "reason"))
		copy_text(record->reason, sizeof(record->reason), line);
	else if (piece_is(key, "version"))
		copy_text(record->version, sizeof(record->version), line);
	else if (piece_is(key, "penalties"))
		copy_text(record->penalties, sizeof(record->penalties), line);
	else if (piece_is(key, "generation") && parse_number(line, UINT64_MAX, &value))
		claim->generation = value;
	else if (piece_is(key, "io_timeout") && parse_number(line, INT32_MAX, &value))
		claim->io_timeout_s = (uint32_t)value;
	else if (piece_is(key, "watchdog_fire_timeout") && parse_number(line, INT32_MAX, &value))
		claim->watchdog_fire_s = (uint32_t)value;
	else if (piece_is(key, "migrating_to") && parse_number(line, HOST_ID_MAX, &value))
		claim->migrating_to = (uint16_t)value;
	else if (piece_is(key, "timestamp") && parse_number(piece_until(&line, ' '), UINT64_MAX, &value))
		*same_write = value == claim->timestamp; /* `S (ctime)` */
}

static void parse_extra(const uint8_t *bytes, size_t end, struct record *record)
{
	size_t at = RECORD_LINE_MAX;
	const struct claim *claim = &record->claim;
	bool same_write = false;
	struct piece rest;

	/* Writers before us pad the line to 512 characters: with a host name of other than ASCII the text
	 * begins later. */
	while (at < end && bytes[at] == '\0')
		at++;
	record->extra_at = (uint16_t)at;
	record->extra_length = (uint16_t)(end > at ? end - at : 0);
	rest = (struct piece){(const char *)bytes + at, record->extra_length};
	while (rest.length > 0)
		parse_extra_line(piece_until(&rest, '\n'), record, &same_write);
	/* The line alone has a CRC. What a host, or another in its block, wrote before with keys of now would
	 * make all that it writes from now on late writes of the past: so would no generation, which counts
	 * as sanlock's. The keys stand in the 512 bytes that have the text's timestamp: no write that stops
	 * between sectors parts them. Writers before us have no keys to mix. */
	record->torn = !same_write && (claim->generation != 0 || claim->io_timeout_s != 0 ||
				       claim->watchdog_fire_s != 0 || claim->migrating_to != 0);
}

static void record_clear(struct record *record)
{
	record->claim = (struct claim){0};
	record->config_shared = record->torn = false;
	record->crc = 0;
	record->config_timestamp = 0;
	record->state[0] = record->timeout[0] = record->reason[0] = record->version[0] =
		record->penalties[0] = '\0';
}

enum record_fault record_decode_bytes(const uint8_t *bytes, size_t length, uint16_t slot, struct record *ret,
				      char cause[RECORD_CAUSE_SIZE])
{
	struct piece line = {(const char *)bytes,
			     padding_begin(bytes, length < RECORD_LINE_MAX ? length : RECORD_LINE_MAX)};
	enum record_fault fault;
	struct record record;

	assert(slot >= 1 && slot <= HOST_ID_MAX);
	cause[0] = '\0';
	if (length == 0 || bytes[0] == '\0')
		return RECORD_ABSENT;
	record_clear(&record);
	if (!utf8_valid(bytes, length))
		return bad(cause, "not UTF-8");
	fault = parse_line(line, slot, &record, cause);
	if (fault != RECORD_OK)
		return fault;
	parse_extra(bytes, length, &record);
	*ret = record;
	return RECORD_OK;
}

enum record_fault record_decode(const uint8_t block[BLOCK_SIZE], uint16_t slot, struct record *ret,
				char cause[RECORD_CAUSE_SIZE])
{
	return record_decode_bytes(block, padding_begin(block, BLOCK_SIZE), slot, ret, cause);
}

bool record_half_written(const uint8_t block[BLOCK_SIZE], uint16_t slot, const char *hostname)
{
	struct piece line = {(const char *)block, padding_begin(block, RECORD_LINE_MAX)}, fields[FIELDS_MAX];
	size_t n_fields = split_line(line, fields);
	char cause[RECORD_CAUSE_SIZE];
	struct record record;
	uint64_t host_id;
	uint32_t crc;

	return block[0] != '\0' && parse_versions(line, fields, n_fields, &record, cause) == RECORD_OK &&
	       n_fields > 9 && parse_number(fields[3], UINT64_MAX, &host_id) && host_id == slot &&
	       piece_is(fields[6], hostname) &&
	       (!crc_parse(fields[9], &crc) || crc != crc_of(line, fields[9]));
}

/* A number of one entry, ended by `end` (or the end of the text). */
static bool penalty_number(struct piece *rest, int64_t max, int64_t *ret)
{
	uint64_t value;

	if (!parse_number(piece_until(rest, ':'), (uint64_t)max, &value))
		return false;
	*ret = (int64_t)value;
	return true;
}

bool record_penalty_next(const char **cursor, struct record_penalty *ret)
{
	while (**cursor != '\0') {
		struct piece rest = {*cursor, strcspn(*cursor, ",")}, word;
		struct record_penalty found;
		int64_t points;

		*cursor += rest.length + (rest.at[rest.length] == ',');
		word = piece_until(&rest, ':');
		if (word.length == 0 || word.length >= sizeof(found.word) ||
		    !penalty_number(&rest, INT32_MAX, &points) ||
		    !penalty_number(&rest, INT64_MAX / 1000, &found.since_s) ||
		    !penalty_number(&rest, INT64_MAX / 1000, &found.until_s))
			continue;
		copy_text(found.word, sizeof(found.word), word);
		found.points = (int32_t)points;
		*ret = found;
		return true;
	}
	return false;
}
