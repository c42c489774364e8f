/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps the monitors' samples, and watches over who gives them: a monitor that fell silent, the storage as
 * the whiteboard's I/O finds it, the guard. It judges no score. Called by broker.c and the monitors. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "broker/broker_state.h"
#include "util/log.h"

#define WATCH_MS 1000	    /* of the monitors and of storage, */
#define WATCH_SLACK_MS 1000 /* or with what else is due within so long */
#define GUARD_MS 5000	    /* of the guard */
#define MONITOR_SILENT 3    /* periods without a sample: its monitor is dead */
#define FIRST_WORDS 3	    /* samples after which a monitor should have told something */
#define SLOW_MS 500	    /* of one I/O of the whiteboard: a healthy storage takes a few */

void broker_sample(struct broker *broker, enum monitor monitor, bool known, int32_t value)
{
	struct sample *sample = &broker->samples[monitor];

	assert((unsigned)monitor < MONITOR_COUNT);
	if (++sample->number == 0)
		sample->number = 1;
	/* Some need two samples for their first word, which is no news then. One that gives a value all the
	 * same has nothing to tell about: the health of a VM that left. */
	if (!known && value < 0 && (sample->known || sample->number == FIRST_WORDS))
		log_warning("monitor %s can't tell, its last penalty stays", monitor_str(monitor));
	else if (known && !sample->known && sample->number > FIRST_WORDS)
		log_info("monitor %s tells again", monitor_str(monitor));
	sample->known = known;
	if (value >= 0)
		sample->value = value;
	broker->sampled_at[monitor] = broker_now(broker);
	broker_changed(broker);
}

void broker_set_monitor_ms(struct broker *broker, const int64_t monitor_ms[MONITOR_COUNT])
{
	memcpy(broker->config.monitor_ms, monitor_ms, sizeof(broker->config.monitor_ms));
}

/* Storage is judged from what the whiteboard's I/O does anyway. */
static bool storage_good(const struct broker *broker, const struct store_health *health)
{
	const struct board *board = &broker->board;

	return board->scanned && board->read_failing_since == MONO_UNSET &&
	       board->write_failing_since == MONO_UNSET && health->stuck_since == MONO_UNSET;
}

/* Slow is no reason to move anything, but people should hear of it before it gets worse. */
static void look_for_slowness(struct broker *broker, const struct store_health *health)
{
	int64_t ms = health->read_ms > health->write_ms ? health->read_ms : health->write_ms;

	if (ms >= SLOW_MS) {
		if (broker->slow_ms == 0)
			log_warning("storage is slow, which is tolerated up to the io_deadline took_ms=%lld",
				    (long long)ms);
		broker->slow_ms = ms;
	} else if (broker->slow_ms > 0 && ms < SLOW_MS / 2) {
		broker->slow_ms = 0;
		log_info("storage is as fast again as it should be");
	}
}

/* In its rhythm, and at once when it turns. */
static void sample_storage(struct broker *broker, const struct store_health *health, mono_t now)
{
	const struct sample *sample = &broker->samples[MONITOR_STORAGE_DOMAIN];
	bool good = storage_good(broker, health);

	/* It may have gone from this host. */
	if (broker->ports.connect && !good && sample->value != good)
		storage_parts_look(&broker->parts);
	if (sample->number == 0 || sample->value != good ||
	    mono_passed(broker->sampled_at[MONITOR_STORAGE_DOMAIN],
			broker->config.monitor_ms[MONITOR_STORAGE_DOMAIN], now))
		broker_sample(broker, MONITOR_STORAGE_DOMAIN, true, good);
}

/* Without it nothing kills the VM when sanlock is gone (rule 5), and nothing at all on a host without a
 * watchdog (rule 6): people must know. The score stays, since all that a host loses is its second net. */
static void look_at_guard(struct broker *broker, mono_t now)
{
	int error, was = broker->guard_error;

	if (broker->guard_asked != MONO_UNSET && !mono_passed(broker->guard_asked, GUARD_MS, now))
		return;
	broker->guard_asked = now;
	error = broker->ports.fence->listens(broker->ports.fence);
	broker->guard_error = error;
	if (error < 0 && was == 0) {
		broker->guard_away_since = now;
		log_error("the guard does not listen, nothing ends the VM when sanlock can't: %s; see "
			  "systemctl status ovirt-ha-guard",
			  strerror(-error));
	} else if (error == 0 && was < 0) {
		log_info("the guard listens again");
	}
}

static void watch_fired(struct timer *timer)
{
	struct broker *broker = (struct broker *)((char *)timer - offsetof(struct broker, watch_timer));
	mono_t now = broker_now(broker);
	struct store_health health;

	broker->ports.clock->set(broker->ports.clock, timer, mono_add(now, WATCH_MS));
	broker->ports.store->health(broker->ports.store, &health);
	look_at_guard(broker, now);
	look_for_slowness(broker, &health);
	for (unsigned i = 0; i < MONITOR_COUNT; i++) {
		if (broker->config.monitor_ms[i] == 0)
			continue;
		if (i == MONITOR_STORAGE_DOMAIN) {
			sample_storage(broker, &health, now);
		} else if (broker->samples[i].known &&
			   mono_passed(broker->sampled_at[i], MONITOR_SILENT * broker->config.monitor_ms[i],
				       now)) {
			broker_sample(broker, (enum monitor)i, false, -1);
		}
	}
}

void broker_watch_start(struct broker *broker)
{
	broker->guard_asked = MONO_UNSET;
	for (size_t i = 0; i < MONITOR_COUNT; i++)
		broker->sampled_at[i] = MONO_UNSET;
	broker->watch_timer.fire = watch_fired;
	broker->watch_timer.slack_ms = WATCH_SLACK_MS;
	watch_fired(&broker->watch_timer);
}
