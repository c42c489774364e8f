# SPDX-License-Identifier: LGPL-2.1-or-later
"""corosync is there, dies, hangs, comes back, and is abused: nothing moves for it, and what fails goes on elsewhere."""
import os
import signal
import subprocess
import time

import pytest

from lab_driver import poll

SOON_FIT = ("--set", "agent.policy.unexpected=5")
FLOOD_SECONDS = 8
# broker/poke_intake.h: what the pokes of all members may cost, in reads of 4 KiB.
BURST, PER_SECOND = 128, 10
# Besides: the owner's block each second, all three and 16 more of all at times.
USUAL_BLOCKS_PER_SECOND = 6


def said(lab, host, words):
    lines = lab.run(host, "journalctl", "-b", "-q", "--no-pager", "-o", "cat", "-u", "ovirt-ha-broker").stdout
    return sum(words in line for line in lines.splitlines())


def all_say(lab, hosts, words, times):
    poll(lambda: all(said(lab, host, words) >= times for host in hosts), 45, f"not on all of {hosts}: {words}")


def each_corosync(lab, hosts, number):
    for host in hosts:
        for pid in lab.unit_pids(host, ["corosync"]):
            os.kill(pid, number)


def fail_over(lab):
    host = lab.vm_host()
    lab.vm("kill")
    lab.wait_elsewhere(host, 60)


@pytest.mark.lab("--corosync", *SOON_FIT)
def test_corosync_comes_and_goes(lab):
    all_say(lab, lab.keys(), "corosync joined", 1)
    fail_over(lab)

    lab.wait_well(60)
    host, before = lab.vm_host(), lab.qemu()
    each_corosync(lab, [host], signal.SIGKILL)
    all_say(lab, [host], "corosync is away", 1)
    seen = lab.operator(lab.others(host)[0], "--vm-status").stdout
    assert lab.stays(before), seen
    fail_over(lab)
    lab.run(host, "systemctl", "start", "corosync")
    all_say(lab, [host], "corosync joined", 2)

    lab.wait_well(60)
    each_corosync(lab, lab.keys(), signal.SIGSTOP)
    fail_over(lab)
    each_corosync(lab, lab.keys(), signal.SIGKILL)
    all_say(lab, lab.keys(), "corosync", 2)
    lab.wait_well(60)
    before = lab.qemu()
    for key in lab.keys():
        lab.run(key, "systemctl", "start", "corosync")
    all_say(lab, lab.keys(), "corosync joined", 2)
    assert lab.stays(before)


@pytest.mark.lab("--corosync", *SOON_FIT)
def test_forged_pokes(lab):
    all_say(lab, lab.keys(), "corosync joined", 1)
    host, before = lab.vm_host(), lab.qemu()
    forger, other = lab.others(host)
    group = f"ovirt-ha/{lab.lab.domain_uuid}/hosted-engine"
    with open(f"{os.path.dirname(__file__)}/poke_forger.py") as file:
        source = file.read()
    read, begun = {key: lab.board_kib(key, "store-scan") for key in lab.keys()}, time.monotonic()
    flood = subprocess.Popen([*lab.lab.host(forger).enter(lab.lab.host(forger).pid1()), "python3", "-c", source, group,
                              str(FLOOD_SECONDS), host], stdout=subprocess.PIPE, text=True)
    sent, _ = flood.communicate(timeout=FLOOD_SECONDS + 20)
    seconds = time.monotonic() - begun
    blocks = {key: (lab.board_kib(key, "store-scan") - read[key]) / 4 for key in lab.keys()}
    assert int(sent) > 100 * FLOOD_SECONDS, f"{sent} were sent"
    most = BURST + (PER_SECOND + USUAL_BLOCKS_PER_SECOND) * seconds + 3 * 16
    assert all(count < most for count in blocks.values()), f"{blocks}, at most {most:.0f}"
    all_say(lab, [forger, other], "too many pokes", 1)
    assert lab.stays(before)
    lab.wait_well(60)
    fail_over(lab)
