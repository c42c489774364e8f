/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's world against what is known of real hosts (README, the worked timelines): each case makes
 * one thing go wrong in a healthy cluster of three and says when the VM must stand, and when it must run
 * again. A case whose fault did not fire fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim_fault.h"
#include "tests/sim/sim_log.h"
#include "util/log.h"

#define S MONO_SECOND
#define SETTLED (200 * S)

struct watch {
	struct sim_cluster *cluster;
	int most;		  /* guests at once */
	int64_t stood_at, ran_at; /* first moment after the fault, -1 not yet */
	bool broken;
};

static void look(void *data, struct sim_cluster *cluster)
{
	struct watch *watch = data;

	if (cluster->running > watch->most)
		watch->most = cluster->running;
	if (watch->broken && watch->stood_at < 0 && cluster->running == 0)
		watch->stood_at = cluster->sim.now;
	if (watch->stood_at >= 0 && watch->ran_at < 0 && cluster->running == 1)
		watch->ran_at = cluster->sim.now;
}

static void print_line(void *data, const char *text)
{
	printf("%.300s\n", text);
}

struct fault_case {
	const char *name;
	void (*breaks)(struct sim_host *runner);
	void (*mends)(struct sim_host *runner); /* after `mends_at`, NULL: it stays so */
	int64_t mends_after;
	/* ms after the fault; -1: it must not stand at all */
	int64_t stands_from, stands_until;
	int64_t runs_from, runs_until;
	bool moves; /* to another host */
	bool watchdog;
};

static void power(struct sim_host *h)
{
	sim_power_cut(h, MONO_NEVER);
}

static void reboot(struct sim_host *h)
{
	sim_power_cut(h, 30 * S);
}

static void qemu(struct sim_host *h)
{
	sim_qemu_crash(h);
}

static void off(struct sim_host *h)
{
	sim_guest_off(h);
}

static void hang(struct sim_host *h)
{
	sim_storage_fault(h, SIM_DISK_HANG, 1000);
}

static void eio(struct sim_host *h)
{
	sim_storage_fault(h, SIM_DISK_EIO, 1000);
}

static void heal(struct sim_host *h)
{
	sim_storage_heal(h);
}

static void sanlock_dies(struct sim_host *h)
{
	sim_crash(h, SIM_SANLOCK_SERVICE, 2 * S);
}

static void sanlock_stops(struct sim_host *h)
{
	sim_freeze(h, SIM_SANLOCK_SERVICE, true);
}

static void agent_dies(struct sim_host *h)
{
	sim_crash(h, SIM_AGENT_SERVICE, 3 * S);
}

static void broker_dies(struct sim_host *h)
{
	sim_crash(h, SIM_BROKER_SERVICE, 3 * S);
}

static void libvirt_dies(struct sim_host *h)
{
	sim_crash(h, SIM_LIBVIRT_SERVICE, 3 * S);
}

static void libvirt_stops(struct sim_host *h)
{
	sim_freeze(h, SIM_LIBVIRT_SERVICE, true);
}

static void libvirt_goes_on(struct sim_host *h)
{
	sim_freeze(h, SIM_LIBVIRT_SERVICE, false);
}

static void guest_hangs(struct sim_host *h)
{
	sim_guest_hang(h, true);
}

static void stall(struct sim_host *h)
{
	sim_stall(h, 20 * S);
}

static void wall(struct sim_host *h)
{
	sim_wall_jump(h, -86400 * S);
}

static void drift(struct sim_host *h)
{
	sim_drift(h, 1000);
}

static void suspend_guest(struct sim_host *h)
{
	sim_guest_suspend(h);
}

static void agent_and_guard_die(struct sim_host *h)
{
	sim_crash(h, SIM_AGENT_SERVICE, MONO_NEVER);
	sim_crash(h, SIM_GUARD_SERVICE, MONO_NEVER);
	sim_storage_fault(h, SIM_DISK_HANG, 1000);
}

static void local_maintenance(struct sim_host *h)
{
	sim_ask(h, COMMAND_LOCAL_MAINTENANCE_ON);
}

/* N = 10: fail at 80 s after the last renewal, which is up to 20 s old; dead at 140 s. */
static const struct fault_case cases[] = {
	{"power cut", power, NULL, 0, 0, 0, 100 * S, 200 * S, true, true},
	/* It comes back under its own name: its old lease is free as soon as its id is joined again. */
	{"reboot", reboot, NULL, 0, 0, 0, 30 * S, 160 * S, true, true},
	{"QEMU crashes", qemu, NULL, 0, 0, 1 * S, 0, 10 * S, true, true},
	{"guest powers itself off", off, NULL, 0, 0, 1 * S, 0, 10 * S, true, true},
	{"storage hangs", hang, NULL, 0, 50 * S, 150 * S, 100 * S, 220 * S, true, true},
	{"storage hangs for 30 s", hang, heal, 30 * S, -1, 0, 0, 0, false, true},
	/* A write that fails may land, that of the lease let go too. */
	{"storage fails", eio, NULL, 0, 0, 1 * S, 10 * S, 220 * S, true, true},
	{"storage fails for 15 s", eio, heal, 15 * S, 0, 1 * S, 0, 100 * S, false, true},
	{"sanlock dies", sanlock_dies, NULL, 0, 0, 1 * S, 0, 200 * S, false, true},
	{"sanlock dies, no watchdog", sanlock_dies, NULL, 0, 0, 1 * S, 0, 200 * S, false, false},
	{"sanlock is stopped", sanlock_stops, NULL, 0, 30 * S, 150 * S, 100 * S, 220 * S, true, true},
	{"sanlock is stopped, no watchdog", sanlock_stops, NULL, 0, 20 * S, 62 * S, 100 * S, 220 * S, true,
	 false},
	{"agent dies", agent_dies, NULL, 0, -1, 0, 0, 0, false, true},
	{"broker dies", broker_dies, NULL, 0, -1, 0, 0, 0, false, true},
	{"libvirtd dies", libvirt_dies, NULL, 0, -1, 0, 0, 0, false, true},
	{"libvirtd is stopped for a minute", libvirt_stops, libvirt_goes_on, 60 * S, -1, 0, 0, 0, false,
	 true},
	{"guest hangs", guest_hangs, NULL, 0, 300 * S, 700 * S, 300 * S, 800 * S, false, true},
	{"host stands still for 20 s", stall, NULL, 0, -1, 0, 0, 0, false, true},
	{"wall clock jumps", wall, NULL, 0, -1, 0, 0, 0, false, true},
	{"clock drifts", drift, NULL, 0, -1, 0, 0, 0, false, true},
	{"guest is suspended", suspend_guest, NULL, 0, 0, 1 * S, 0, 60 * S, false, true},
	{"agent and guard die, storage hangs", agent_and_guard_die, NULL, 0, 50 * S, 150 * S, 100 * S,
	 220 * S, true, true},
	{"local maintenance", local_maintenance, NULL, 0, 0, 60 * S, 0, 120 * S, true, true},
};

static void test_case(void **state)
{
	const struct fault_case *c = *state;
	struct sim_cluster_config config = {
		.seed = 7, .n_hosts = 3, .policy = policy_default, .watchdog = c->watchdog};
	struct watch watch = {.stood_at = -1, .ran_at = -1};
	struct sim_host *first, *last;
	struct sim_cluster *cluster;
	struct sim_log log = {.most = LOG_INFO, .line = print_line};

	config.policy.require_watchdog = c->watchdog;
	cluster = watch.cluster = sim_cluster_new(&config);
	log.sim = &cluster->sim;
	if (getenv("SIM_TRACE"))
		sim_log_to(&log);
	cluster->after = look;
	cluster->data = &watch;
	sim_cluster_boot(cluster);
	sim_cluster_run(cluster, SETTLED);
	first = sim_cluster_runner(cluster);
	assert_non_null(first);
	watch.broken = true;
	c->breaks(first);
	if (cluster->running == 0)
		watch.stood_at = cluster->sim.now;
	if (c->mends) {
		sim_cluster_run(cluster, SETTLED + c->mends_after);
		c->mends(first);
	}
	sim_cluster_run(cluster, SETTLED + 1200 * S);
	last = sim_cluster_runner(cluster);
	sim_log_to(NULL);
	assert_int_equal(watch.most, 1);
	assert_non_null(last);
	assert_int_equal(last->step.next.state, STATE_ENGINE_UP);
	if (c->stands_from < 0) {
		assert_int_equal(watch.stood_at, -1);
		assert_ptr_equal(first, last);
	} else {
		assert_in_range(watch.stood_at - SETTLED, c->stands_from, c->stands_until);
		assert_in_range(watch.ran_at - SETTLED, c->runs_from, c->runs_until);
		assert_true(!c->moves || first != last);
	}
	sim_cluster_free(cluster);
}

static void test_same_seed_same_run(void **state)
{
	uint64_t hashes[2];

	for (int i = 0; i < 2; i++) {
		struct sim_cluster_config config = {
			.seed = 11, .n_hosts = 4, .policy = policy_default, .watchdog = true};
		struct sim_cluster *cluster = sim_cluster_new(&config);

		sim_cluster_boot(cluster);
		sim_cluster_run(cluster, 300 * S);
		sim_storage_fault(sim_cluster_host(cluster, 2), SIM_DISK_TORN, 100);
		sim_storage_fault(sim_cluster_host(cluster, 3), SIM_DISK_STALE, 100);
		sim_storage_fault(sim_cluster_host(cluster, 4), SIM_DISK_LOST, 100);
		sim_cluster_run(cluster, 900 * S);
		assert_int_not_equal(sim_cluster_host(cluster, 2)->disk.fired[SIM_DISK_TORN], 0);
		assert_int_not_equal(sim_cluster_host(cluster, 3)->disk.fired[SIM_DISK_STALE], 0);
		assert_int_not_equal(sim_cluster_host(cluster, 4)->disk.fired[SIM_DISK_LOST], 0);
		hashes[i] = cluster->sim.hash;
		sim_cluster_free(cluster);
	}
	assert_true(hashes[0] == hashes[1]);
}

static void test_global_maintenance(void **state)
{
	struct sim_cluster_config config = {
		.seed = 3, .n_hosts = 3, .policy = policy_default, .watchdog = true};
	struct sim_cluster *cluster = sim_cluster_new(&config);
	const struct sim_request *request;

	sim_cluster_boot(cluster);
	sim_cluster_run(cluster, SETTLED);
	request = sim_ask_global(sim_cluster_host(cluster, 1), true);
	sim_cluster_run(cluster, SETTLED + 30 * S);
	assert_true(request->ended);
	assert_int_equal(request->error, 0);
	for (uint16_t id = 1; id <= 3; id++)
		assert_int_equal(sim_cluster_host(cluster, id)->step.next.state, STATE_GLOBAL_MAINTENANCE);
	sim_qemu_crash(sim_cluster_runner(cluster));
	sim_cluster_run(cluster, SETTLED + 600 * S);
	assert_int_equal(cluster->running, 0);
	request = sim_ask_global(sim_cluster_host(cluster, 2), false);
	sim_cluster_run(cluster, SETTLED + 800 * S);
	assert_int_equal(request->error, 0);
	assert_int_equal(cluster->running, 1);
	sim_cluster_free(cluster);
}

/* Seen by the hosts as what it is, however long it takes: nobody ends it or starts a second one, nobody is
 * unexpectedly down, also when it comes to nothing. */
static const struct migration {
	const char *name;
	int64_t copy_ms;
	bool target_fails; /* its libvirtd dies halfway */
} migrations[] = {
	{"migrated", 800, false},
	{"migrated slowly", 900 * S, false},
	{"migrated slowly, in vain", 300 * S, true},
};

static void test_migration(void **state)
{
	const struct migration *row = *state;
	struct sim_cluster_config config = {
		.seed = 5, .n_hosts = 3, .policy = policy_default, .watchdog = true};
	struct sim_cluster *cluster = sim_cluster_new(&config);
	struct watch watch = {.cluster = cluster};
	struct sim_host *from, *to, *runs, *does_not;

	cluster->after = look;
	cluster->data = &watch;
	sim_cluster_boot(cluster);
	sim_cluster_run(cluster, SETTLED);
	from = sim_cluster_runner(cluster);
	assert_non_null(from);
	to = sim_cluster_host(cluster, from->id % 3 + 1);
	sim_guest_migrate(from, to, row->copy_ms);
	sim_cluster_run(cluster, SETTLED + row->copy_ms / 2);
	if (row->target_fails)
		sim_crash(to, SIM_LIBVIRT_SERVICE, 2 * S);
	sim_cluster_run(cluster, SETTLED + row->copy_ms + 100 * S);
	runs = row->target_fails ? from : to;
	does_not = row->target_fails ? to : from;
	assert_int_equal(from->migration.done, row->target_fails ? 0 : 1);
	assert_int_equal(from->migration.failed, row->target_fails ? 1 : 0);
	assert_ptr_equal(sim_cluster_runner(cluster), runs);
	assert_int_equal(runs->step.next.state, STATE_ENGINE_UP);
	assert_int_equal(does_not->step.next.state, STATE_ENGINE_DOWN);
	assert_int_equal(does_not->step.score.value, 3400);
	assert_int_equal(watch.most, 1);
	sim_cluster_free(cluster);
}

/* The VM dies on a host, and runs on another `from`..`until` ms later: 400 of them are its creation, 25
 * libvirt's event. */
static const struct poke_case {
	const char *name;
	void (*set)(struct sim_host *host, bool on); /* on every other host, a minute before; NULL: nothing */
	int64_t from, until;
} poke_cases[] = {
	{"corosync tells of it", NULL, 400, 700},
	{"corosync is away", sim_corosync, 400, 2700},
	{"half of the pokes are lost", sim_pokes_lost, 400, 5700},
	{"pokes come twice and late", sim_pokes_shuffled, 400, 5700},
	{"pokes are forged", sim_pokes_forged, 400, 5700},
};

static void test_pokes(void **state)
{
	const struct poke_case *row = *state;
	struct sim_cluster_config config = {
		.seed = 9, .n_hosts = 3, .policy = policy_default, .watchdog = true, .corosync = true};
	struct sim_cluster *cluster = sim_cluster_new(&config);
	struct watch watch = {.cluster = cluster, .stood_at = -1, .ran_at = -1};
	uint64_t hit = 0;

	cluster->after = look;
	cluster->data = &watch;
	sim_cluster_boot(cluster);
	sim_cluster_run(cluster, SETTLED - 60 * S);
	for (uint16_t id = 1; row->set && id <= 3; id++)
		if (sim_cluster_host(cluster, id) != sim_cluster_runner(cluster))
			row->set(sim_cluster_host(cluster, id), row->set != sim_corosync);
	sim_cluster_run(cluster, SETTLED);
	watch.broken = true;
	sim_qemu_crash(sim_cluster_runner(cluster));
	if (cluster->running == 0)
		watch.stood_at = cluster->sim.now;
	sim_cluster_run(cluster, SETTLED + 30 * S);
	assert_int_equal(watch.most, 1);
	assert_in_range(watch.ran_at - SETTLED, row->from, row->until);
	for (uint16_t id = 1; id <= 3; id++)
		hit += sim_cluster_host(cluster, id)->poke.hit + sim_cluster_host(cluster, id)->poke.forged;
	assert_true((hit > 0) == (row->set && row->set != sim_corosync));
	sim_cluster_free(cluster);
}

/* The guest begins right after the guard's question, so nobody hears of sanlock for as long as can be; but a
 * guard that stood still when sanlock ended hears of that as soon as it goes on. */
static void test_guard_asks(void **state)
{
	struct sim_cluster_config config = {
		.seed = 13, .n_hosts = 1, .policy = policy_default, .watchdog = true};
	struct sim_cluster *cluster = sim_cluster_new(&config);
	struct sim_host *host = sim_cluster_host(cluster, 1);
	struct sim_guard *guard = &host->guard;
	int64_t now = 0, gap;

	sim_cluster_boot(cluster);
	while (cluster->running == 0 && now < SETTLED)
		sim_cluster_run(cluster, now += 10);
	assert_int_equal(cluster->running, 1);
	assert_int_equal(guard->facts.word, WORD_JOINED);
	gap = guard_ask_gap(&guard->facts, sim_clock_mono(&host->clock));
	assert_in_range(guard->ticks_at - sim_clock_mono(&host->clock), gap - 10, gap);
	/* Nobody else minds. */
	sim_crash(host, SIM_AGENT_SERVICE, MONO_NEVER);
	sim_crash(host, SIM_BROKER_SERVICE, MONO_NEVER);
	sim_hang(host, SIM_GUARD_SERVICE, 2 * S);
	sim_cluster_run(cluster, now += 1 * S);
	sim_crash(host, SIM_SANLOCK_SERVICE, MONO_NEVER);
	sim_cluster_run(cluster, now += S - 10);
	assert_int_equal(cluster->running, 1);
	sim_cluster_run(cluster, now += S / 2);
	assert_int_equal(cluster->running, 0);
	sim_cluster_free(cluster);
}

int main(void)
{
	enum {
		N = sizeof(cases) / sizeof(cases[0]),
		M = sizeof(migrations) / sizeof(migrations[0]),
		P = sizeof(poke_cases) / sizeof(poke_cases[0])
	};
	struct CMUnitTest tests[3 + M + N + P] = {cmocka_unit_test(test_same_seed_same_run),
						  cmocka_unit_test(test_global_maintenance),
						  cmocka_unit_test(test_guard_asks)};

	for (size_t i = 0; i < M; i++)
		tests[3 + i] = (struct CMUnitTest){.name = migrations[i].name,
						   .test_func = test_migration,
						   .initial_state = (void *)&migrations[i]};
	for (size_t i = 0; i < N; i++)
		tests[3 + M + i] = (struct CMUnitTest){
			.name = cases[i].name, .test_func = test_case, .initial_state = (void *)&cases[i]};
	for (size_t i = 0; i < P; i++)
		tests[3 + M + N + i] = (struct CMUnitTest){.name = poke_cases[i].name,
							   .test_func = test_pokes,
							   .initial_state = (void *)&poke_cases[i]};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	setenv("TZ", "UTC", 1);
	if (getenv("SIM_CASE"))
		cmocka_set_test_filter(getenv("SIM_CASE"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
