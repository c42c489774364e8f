# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine VM or its host goes, and the VM comes up again: where it should, and when sanlock allows it."""
import json
import time

import pytest

from lab_driver import poll

DEAD_SECONDS = 68  # sanlock's at io_timeout 1: 8 x io_timeout + 60
TAKEOVER_SECONDS = DEAD_SECONDS + 60
LATE_SECONDS = 5  # than what was told: 3 as stated after the dead time, and 2 to see it from outside
QUICK = ("--set", "agent.policy.loop=2", "--set", "agent.policy.shutdown=20")
QUICK_NETWORK = ("--set", "broker.monitors.network_period=2", "--set", "agent.score.network_held=3",
                 "--set", "agent.policy.better_held=3")
QUICK_HEALTH = ("--set", "broker.monitors.engine_health_period=1", "--set", "agent.policy.bad_health=5")


def test_start_on_one_host_alone(lab):
    host = lab.vm_host()
    for key in lab.keys():
        lines = lab.run(key, "sanlock", "client", "status").stdout.splitlines()
        held = [line for line in lines if line.startswith("r hosted-engine:engine:")]
        assert len(held) == (key == host), f"host {key}: {lines}"
    assert lab.holds(f"lease={host} && state@{host}=EngineUp && health@{host}=good")


@pytest.mark.parametrize("fault", ["kill", "poweroff", "panic"])
def test_vm_ends(lab, fault):
    host, before = lab.vm_host(), lab.qemu()
    lab.vm(fault)
    lab.wait_elsewhere(host, 60)
    assert not set(before) & set(lab.qemu())


@pytest.mark.lab(*QUICK, *QUICK_HEALTH)
@pytest.mark.parametrize("fault", ["crash", "engine-stop"])
def test_vm_runs_without_its_engine(lab, fault):
    before = lab.qemu()
    lab.vm(fault)
    lab.wait("http=none", 10)
    lab.wait("vm=up && http=ok", 90)
    assert not set(before) & set(lab.qemu())


@pytest.mark.lab(*QUICK, *QUICK_NETWORK)
def test_network_of_its_host_cut(lab):
    host = lab.vm_host()
    lab.net(host, "down")
    lab.wait_elsewhere(host, 120)
    lab.wait(f"score@{host}=1800", 30)
    lab.net(host, "up")
    lab.wait(f"score@{host}=3400", 60)


@pytest.mark.lab("--set", "broker.monitors.mem_free_period=1", "--set", "agent.policy.loop=2")
def test_power_cut_as_told_reboot_rejoin(lab):
    host = lab.vm_host()
    worse, better = lab.others(host)
    lab.command("memfree", worse, 20)
    # Three samples, one a loop, and the other's next look.
    poll(lambda: json.loads(lab.operator(better, "--vm-status", "--json").stdout)[worse]["score"] == 3000, 60,
         f"host {better} does not see the penalty of host {worse}")
    asked = time.monotonic()
    told = json.loads(lab.run(better, "hosted-engine-sim", "what-if", f"--kill={host}", "--json").stdout)
    assert str(told["vm_then"]) == better, told
    cut = time.monotonic()
    lab.kill(host)
    lab.wait(f"lease={better}", TAKEOVER_SECONDS)
    end = time.monotonic()
    # What is told counts from then on, and from when the last renewal was seen: up to 2 x io_timeout of 1 s after it was. A
    # further one before the cut puts it off.
    assert told["earliest_ms"] / 1000 - 2 <= end - asked, (end - asked, told)
    assert end - cut <= told["latest_ms"] / 1000 + LATE_SECONDS, (end - cut, told)
    lab.wait_elsewhere(host, TAKEOVER_SECONDS)
    now = lab.vm_host()
    lab.boot(host)
    lab.wait_well(90)
    assert lab.vm_host() == now


def test_all_hosts_cut_and_booted_again(lab):
    for host in lab.keys():
        lab.kill(host)
    for host in lab.keys():
        lab.boot(host)
    lab.wait_well(TAKEOVER_SECONDS)


@pytest.mark.lab("-n", "1")
def test_last_host_alive_restarts_at_once(lab):
    before = lab.qemu()
    lab.vm("kill")
    lab.wait("vm=up@1", 8)
    lab.wait("http=ok", 30)
    assert before != lab.qemu()


@pytest.mark.lab("--set", "broker.monitors.mem_free_period=1", "--set", "broker.monitors.cpu_load_period=1",
                 "--set", "broker.monitors.cpu_load_window=5", "--set", "agent.score.cpu_held=2",
                 "--set", "agent.policy.loop=2")
def test_penalties_for_memory_and_load(lab):
    memory, load = lab.others(lab.vm_host())
    lab.command("memfree", memory, 20)
    lab.command("cpu", load, 100)
    lab.wait(f"score@{memory}=3000 && score@{load}=2400", 60)
    lab.command("memfree", memory, 8192)
    lab.command("cpu", load, 2)
    lab.wait(f"score@{memory}=3400 && score@{load}=3400", 60)
