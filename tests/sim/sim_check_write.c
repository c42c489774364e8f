/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checkers of what hosts write, join, leave and acknowledge. */
#include "broker/poke_intake.h"
#include "lockspace/block0_port.h"
#include "metadata/global.h"
#include "metadata/image.h"
#include "tests/sim/sim_finding.h"

/* A look may be from before what it did not see: the loop, sanlock's answer and the write under way. */
#define JOINED_LAG (16 * SECOND)
#define SILENT_LAG (20 * SECOND + 11 * SECOND)

static void check_flag_written(struct check *check, unsigned host, const uint8_t *bytes, int64_t now)
{
	char cause[GLOBAL_CAUSE_SIZE];
	enum flag flag = global_decode(bytes, cause);
	bool known = flag != FLAG_UNKNOWN, value = flag == FLAG_YES;

	if (host < CHECK_HOSTS_MAX)
		check->memory[host].wrote0_at = now;
	if (known != check->block0_known || value != check->block0)
		check->block0_since = now;
	check->block0_known = known;
	check->block0 = value;
	check->block0_writer = host;
}

static bool lives(const struct check *check, unsigned host, int64_t now, int64_t for_ms)
{
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		if (check->hosts[host].qemus[q].life && now > check->memory[host].life_since[q] + for_ms)
			return true;
	return false;
}

static void note_foreign(struct check_memory *m, const struct image *image, int64_t now)
{
	m->foreign_at = now;
	/* What is unreadable hides the clone: that host is not seen any more. */
	if (image->fault != RECORD_OK) {
		m->clone_at = -10 * MINUTE;
		return;
	}
	if (now > m->clone_at + MINUTE)
		m->clone_since = now;
	m->clone_at = now;
}

void check_landed(struct check *check, unsigned host, uint32_t block, struct image *image)
{
	int64_t now = check_now(check);
	uint8_t bytes[BLOCK_SIZE];
	struct check_memory *m;

	if (block == 0) {
		image_copy(image, bytes);
		check_flag_written(check, host, bytes, now);
		return;
	}
	image_decode(image, (uint16_t)block);
	if (host >= CHECK_HOSTS_MAX) {
		for (unsigned i = 0; i < check->n_hosts; i++)
			if (check->hosts[i].id == block)
				note_foreign(&check->memory[i], image, now);
		return;
	}
	m = &check->memory[host];
	check_catch_up(check, host);
	if (block != check->hosts[host].id) {
		check_fail(check, "foreign-block", "host %u writes block %u", check->hosts[host].id, block);
		return;
	}
	/* Rule 8: another host lives in our block, and our broker reads it before each write. */
	if (now < m->clone_at + 20 * SECOND && now > m->clone_since + 45 * SECOND &&
	    now > later_of(m->calm_since, m->agent_since) + MINUTE)
		check_fail(check, "foreign-block",
			   "host %u writes over the record of another host that lives",
			   check->hosts[host].id);
	/* Rules 8 and 9: a host without its host id writes nothing. */
	if (!check->hosts[host].joined && check->hosts[host].calm && now > m->joined_until + JOINED_LAG &&
	    now > m->calm_since + JOINED_LAG)
		check_fail(check, "block-unjoined",
			   "host %u writes its block %lld s after it lost its host id", check->hosts[host].id,
			   (long long)((now - m->joined_until) / SECOND));
	if (image->fault != RECORD_OK)
		return; /* torn */
	if (image->claim.stopped && check->hosts[host].calm && lives(check, host, now, 4 * SECOND))
		check_fail(check, "stopped-with-qemu", "host %u says stopped while its QEMU lives",
			   check->hosts[host].id);
	m->migrating_to = image->claim.migrating_to;
	if (image->claim.timestamp != m->timestamp) {
		if (!check->hosts[host].agent && check->hosts[host].calm && now > m->spoke_at + SILENT_LAG &&
		    now > m->calm_since + SILENT_LAG)
			check_fail(check, "silent-agent",
				   "host %u: the timestamp advances %lld s after the agent ended",
				   check->hosts[host].id, (long long)((now - m->spoke_at) / SECOND));
		if (now > m->stamped_at + 25 * SECOND)
			m->regular_since = now;
		m->timestamp = image->claim.timestamp;
		m->stamped_at = now;
	}
}

void check_read_flag(struct check *check, unsigned host, const uint8_t *bytes)
{
	char cause[GLOBAL_CAUSE_SIZE];
	enum flag flag = global_decode(bytes, cause);
	struct check_memory *m = &check->memory[host];

	if (flag == FLAG_UNKNOWN)
		return;
	if (m->flag != flag)
		m->flag_at = check_now(check);
	m->flag = flag;
}

void check_block0_asked(struct check *check, unsigned host)
{
	struct check_memory *m = &check->memory[host];

	if (m->asked0 < 0)
		m->asked0 = check_now(check);
}

void check_block0_missed(struct check *check, unsigned host)
{
	check->memory[host].missed0 = check_now(check);
}

void check_block0_ended(struct check *check, unsigned host)
{
	struct check_memory *m = &check->memory[host];

	m->asked0 = m->missed0 = m->leased0_at = -1;
}

void check_block0_begun(struct check *check, unsigned host, bool held)
{
	struct check_memory *m = &check->memory[host];
	int64_t now = check_now(check);

	/* Rule 16; one clock may run 0.1 % faster. */
	if (!held && (m->asked0 < 0 || now < m->asked0 + BLOCK0_TAKE_MS - 11))
		check_fail(check, "block0-unleased", "host %u writes block 0 without its lease, asked for %s",
			   check->hosts[host].id, m->asked0 < 0 ? "never" : "less than 10 s");
	else if (!held && m->missed0 < m->asked0)
		check_fail(check, "block0-unsaid",
			   "host %u writes block 0 without its lease and does not log that",
			   check->hosts[host].id);
	check_block0_ended(check, host); /* the next write needs its own */
	m->leased0_at = held ? now : -1;
}

void check_block0_landed(struct check *check, unsigned host, bool kept)
{
	struct check_memory *m = &check->memory[host];
	int64_t begun = m->leased0_at;

	m->leased0_at = -1;
	if (begun < 0 || kept)
		return;
	check_catch_up(check, host);
	if (check->hosts[host].calm && check->hosts[host].joined && begun > m->calm_since + MINUTE &&
	    begun > m->joined_since)
		check_fail(check, "block0-unleased",
			   "host %u lets the lease of block 0 go before its write has landed",
			   check->hosts[host].id);
}

/* Membership. */

void check_join(struct check *check, unsigned host)
{
	bool ran = false;

	/* Rule 4. One that the operator started by hand a moment ago could not be seen, and one that has not
	 * run here, of a migration, has nothing that the join could free. */
	for (unsigned q = 0; q < CHECK_QEMUS_MAX; q++)
		ran |= check->hosts[host].qemus[q].life && check->memory[host].ran[q];
	if (ran && lives(check, host, check_now(check), 2 * SECOND))
		check_fail(check, "join-with-qemu", "host %u joins while a QEMU of the engine lives here",
			   check->hosts[host].id);
}

void check_late_write(struct check *check, unsigned host)
{
	if (check->hosts[host].joined)
		check_fail(check, "late-write",
			   "host %u: a write of before it lost its host id lands after it has joined again",
			   check->hosts[host].id);
}

void check_left(struct check *check, unsigned host)
{
	if (lives(check, host, check_now(check), 4 * SECOND))
		check_fail(check, "leave-with-qemu", "host %u leaves while a QEMU of the engine lives here",
			   check->hosts[host].id);
}

/* Commands. */

void check_global_answered(struct check *check, unsigned host, bool maintenance, int error)
{
	int64_t now = check_now(check);

	check_catch_up(check, host);
	/* What a path that lies shows is all that a host can know. */
	if (error < 0 || !check->hosts[host].calm || now < check->memory[host].calm_since + SECOND)
		return;
	/* Still there two loops later, or it is no acknowledgement; one clock may run 0.1 % slower. */
	if (!check->block0_known || check->block0 != maintenance)
		check_fail(check, "command-lost",
			   "host %u acknowledged global maintenance %s, block 0 says otherwise",
			   check->hosts[host].id, maintenance ? "on" : "off");
	else if (now < check->memory[host].wrote0_at + 2 * policy_default.loop - 50)
		check_fail(check, "command-lost",
			   "host %u acknowledged global maintenance %s %lld ms after it was written",
			   check->hosts[host].id, maintenance ? "on" : "off",
			   (long long)(now - check->memory[host].wrote0_at));
}

void check_local_answered(struct check *check, unsigned host, bool maintenance, int error,
			  const uint8_t *own_block)
{
	char cause[RECORD_CAUSE_SIZE];
	struct record record;

	if (error < 0 || record_decode(own_block, check->hosts[host].id, &record, cause) != RECORD_OK)
		return;
	/* It stood there: a clone that has begun to write over it is found at the next write. */
	if (check_now(check) < check->memory[host].clone_since + 12 * SECOND)
		return;
	if (maintenance && !record.claim.maintenance)
		check_fail(check, "command-lost",
			   "host %u acknowledged local maintenance, its record says none",
			   check->hosts[host].id);
}

void check_poked(struct check *check, unsigned host, uint64_t heeded, int64_t mono)
{
	struct check_memory *m = &check->memory[host];

	if (heeded < m->heeded)
		m->heeded = m->heeded_until = 0; /* another broker */
	for (; m->heeded < heeded; m->heeded++)
		m->heeded_until = later_of(m->heeded_until, mono) + SECOND / POKE_PER_SECOND_ALL;
	if (m->heeded_until > mono + POKE_BURST_ALL * SECOND / POKE_PER_SECOND_ALL)
		check_fail(check, "poked-too-often", "host %u heeds more than %d pokes and %d a second",
			   check->hosts[host].id, POKE_BURST_ALL, POKE_PER_SECOND_ALL);
}
