/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Members, sequences and token buckets. It decides which pokes are worth a read. Called by poke_link.c. */
#include "broker/poke_intake.h"

#include <errno.h>
#include <string.h>

#include "broker/poke.h"

mono_t poke_bucket_ready(const struct poke_bucket *bucket, unsigned burst, unsigned per_second, mono_t now)
{
	mono_t at = bucket->empty_at - (mono_t)(burst - 1) * MONO_SECOND / per_second;

	return at > now ? at : now;
}

bool poke_bucket_take(struct poke_bucket *bucket, unsigned burst, unsigned per_second, mono_t now)
{
	if (poke_bucket_ready(bucket, burst, per_second, now) > now)
		return false;
	if (bucket->empty_at < now)
		bucket->empty_at = now;
	bucket->empty_at += MONO_SECOND / per_second;
	return true;
}

static struct poke_sender *find(struct poke_intake *intake, struct poke_member member)
{
	for (size_t i = 0; i < intake->n_senders; i++)
		if (intake->senders[i].member.node == member.node &&
		    intake->senders[i].member.pid == member.pid)
			return &intake->senders[i];
	return NULL;
}

bool poke_intake_came(struct poke_intake *intake, struct poke_member member)
{
	if (find(intake, member) || intake->n_senders == POKE_MEMBERS_MAX)
		return false;
	intake->senders[intake->n_senders++] = (struct poke_sender){.member = member};
	return true;
}

/* One of the member's tokens and one of all; what finds none has been drowned, or drowns others. */
static bool take_token(struct poke_intake *intake, struct poke_sender *sender, mono_t now)
{
	if (poke_bucket_take(&sender->bucket, POKE_BURST, POKE_PER_SECOND, now) &&
	    poke_bucket_take(&intake->all, POKE_BURST_ALL, POKE_PER_SECOND_ALL, now)) {
		intake->taken++;
		return true;
	}
	intake->dropped++;
	intake->flooded_at = now;
	return false;
}

static void forget_gone(struct poke_intake *intake, uint16_t host_id)
{
	for (size_t i = 0; i < POKE_GONE_MAX; i++)
		if (intake->gone[i].host_id == host_id)
			intake->gone[i].host_id = 0;
}

uint16_t poke_intake_left(struct poke_intake *intake, struct poke_member member, mono_t now)
{
	struct poke_sender *sender = find(intake, member);
	uint16_t host_id;

	if (!sender)
		return 0;
	/* Who comes and goes all the time has a full bucket each time: the bucket of all bounds it. */
	host_id = sender->host_id;
	if (host_id != 0) {
		forget_gone(intake, host_id);
		intake->gone[intake->gone_next++ % POKE_GONE_MAX] = (struct poke_gone){host_id, now};
		host_id = take_token(intake, sender, now) ? host_id : 0;
	}
	*sender = intake->senders[--intake->n_senders];
	return host_id;
}

uint16_t poke_intake_take(struct poke_intake *intake, struct poke_member member, const void *bytes,
			  size_t size, mono_t now)
{
	struct poke_sender *sender = find(intake, member);
	struct poke poke;
	int r = poke_decode(bytes, size, &poke);

	if (r < 0) {
		intake->malformed += r == -EBADMSG;
		return 0;
	}
	/* Our own block is known without it. A member speaks for one host all its life: one that claims more
	 * is no broker, and must not ask for thousands of blocks. */
	if (!sender || poke.cluster != intake->cluster || poke.host_id == intake->own_id ||
	    (sender->host_id != 0 && sender->host_id != poke.host_id)) {
		intake->foreign++;
		return 0;
	}
	/* What an older one asked for has been read since. By member, not by host id: nobody can use up the
	 * numbers of another. */
	if (poke.sequence <= sender->sequence) {
		intake->repeated++;
		return 0;
	}
	if (sender->host_id == 0)
		forget_gone(intake, poke.host_id);
	sender->host_id = poke.host_id;
	sender->sequence = poke.sequence;
	/* Many hosts that start together greet each other many times: it costs nothing. */
	if (poke.what == POKE_HELLO)
		return 0;
	return take_token(intake, sender, now) ? poke.host_id : 0;
}

void poke_intake_clear(struct poke_intake *intake)
{
	intake->n_senders = 0;
	memset(intake->gone, 0, sizeof(intake->gone));
}

bool poke_intake_trusts(const struct poke_intake *intake, uint16_t host_id, mono_t now)
{
	/* 0 is also the host of a member that has not spoken. */
	if (host_id == 0 ||
	    (intake->flooded_at != 0 && !mono_passed(intake->flooded_at, POKE_DISTRUST_MS, now)))
		return false;
	for (size_t i = 0; i < intake->n_senders; i++)
		if (intake->senders[i].host_id == host_id)
			return true;
	return false;
}
