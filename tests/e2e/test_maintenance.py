# SPDX-License-Identifier: LGPL-2.1-or-later
"""Maintenance and the operator's commands, as CLI.md promises them."""
import json
import re

import pytest

from lab_driver import poll

QUICK = ("--set", "agent.policy.loop=2", "--set", "agent.policy.shutdown=20")
QUIET_SECONDS = 20


@pytest.mark.lab(*QUICK)
def test_global_maintenance_keeps_it_off(lab):
    host = lab.vm_host()
    other = lab.others(host)[0]
    lab.operator(other, "--set-maintenance", "--mode=global")
    assert lab.holds("global=true")
    lab.vm("poweroff")
    lab.wait("vm=none && lease=none", 20)
    seen = lab.command("wait", "vm=up", "--timeout", QUIET_SECONDS, timeout=60, check=False)
    assert seen.returncode == 1, "somebody started it in global maintenance"
    lab.operator(host, "--set-maintenance", "--mode=none")
    lab.wait("global=false && vm=up && http=ok", 90)


@pytest.mark.lab(*QUICK)
def test_local_maintenance_moves_it(lab):
    host = lab.vm_host()
    lab.operator(host, "--set-maintenance", "--mode=local")
    lab.wait_elsewhere(host, 90)
    lab.wait(f"score@{host}=0 && maintenance@{host}=true && state@{host}=LocalMaintenance", 30)
    now = lab.vm_host()
    lab.operator(host, "--set-maintenance", "--mode=none")
    lab.wait_well(60)
    assert lab.vm_host() == now


@pytest.mark.lab("-n", "1", *QUICK)
def test_local_maintenance_refused_without_another_host(lab):
    before = lab.qemu()
    refused = lab.operator(1, "--set-maintenance", "--mode=local", check=False)
    assert refused.returncode == 1 and refused.stderr.strip() and not refused.stdout
    assert lab.stays(before) and lab.holds("maintenance@1=false && score@1>0")


def test_start_where_it_runs_and_elsewhere(lab):
    host, before = lab.vm_host(), lab.qemu()
    here = lab.operator(host, "--vm-start", check=False)
    assert (here.returncode, here.stdout.strip()) == (1, "VM exists and its status is Up")
    there = lab.operator(lab.others(host)[0], "--vm-start", check=False)
    assert there.returncode == 1 and "VM failed to launch" in there.stdout and there.stderr.strip()
    assert lab.stays(before)


TIMES = re.compile(r"timestamp|crc32|age|refresh|since|left|seconds|for \d|updated|^Storage |^Host id (last )?renew", re.I)


def test_status_is_the_same_on_all_hosts(lab):
    def texts():
        return {tuple(line for line in lab.operator(key, "--vm-status").stdout.splitlines() if not TIMES.search(line))
                for key in lab.keys()}
    # Each host reads the others' records once a loop: what has just changed is not everywhere at once.
    poll(lambda: len(texts()) == 1, 40, "the hosts do not come to show the same")
    state = json.loads(lab.operator(1, "--vm-status", "--json").stdout)
    assert set(state) >= {*lab.keys(), "global_maintenance"}
    assert [state[key]["live-data"] for key in lab.keys()] == [True] * len(lab.keys())
    assert lab.operator(2, "--check-liveliness").stdout == "Hosted Engine is up!\n"
