# SPDX-License-Identifier: LGPL-2.1-or-later
"""Daemons of the VM's host are stopped, killed or hang: the VM stays where its lease can be verified, and only
there; where sanlock is gone it ends at once."""
import os
import signal

import pytest

# Longer than systemd lets a daemon hang (WatchdogSec=20), and than others wait until they try for a VM whose host says nothing.
GONE_SECONDS = 35
# libvirt's silence can end a VM after libvirt_timeout, 3 s and policy.paused: 43 s.
LIBVIRTD_GONE_SECONDS = 60
TRIED_SOON = ("--set", "agent.policy.loop=2", "--set", "agent.policy.stale=10", "--set", "agent.policy.owner_retry=5")
TAKEOVER_SECONDS = 68 + 60


def tries(lab, *hosts):
    """How often the agents of the hosts have tried to start the VM."""
    return sum(lab.run(host, "journalctl", "-q", "--no-pager", "-u", "ovirt-ha-agent").stdout.count("action start begun")
               for host in hosts)


@pytest.mark.lab(*TRIED_SOON)
@pytest.mark.parametrize("units", [["ovirt-ha-broker"], ["ovirt-ha-agent"], ["ovirt-ha-broker", "ovirt-ha-agent"],
                                   ["libvirtd"]], ids="-".join)
def test_vm_stays(lab, units):
    host, before = lab.vm_host(), lab.qemu()
    seconds = LIBVIRTD_GONE_SECONDS if units == ["libvirtd"] else GONE_SECONDS
    for fault in ("stop", "kill", "hang"):
        tried = tries(lab, *lab.others(host))
        if fault == "stop":
            lab.run(host, "systemctl", "stop", *units, timeout=60)
        else:
            for pid in lab.unit_pids(host, units):
                os.kill(pid, signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
        gone = lab.command("wait", f"!vm=up@{host}", "--timeout", seconds, timeout=seconds + 30, check=False)
        assert gone.returncode == 1 and lab.stays(before), f"{fault}: the VM did not stay"
        tried = tries(lab, *lab.others(host)) - tried
        assert tried or fault != "stop" or units == ["libvirtd"], "nobody tried: nothing was shown"
        if fault == "stop":
            lab.run(host, "systemctl", "start", *units, timeout=60)
        elif fault == "hang":
            lab.run(host, "systemctl", "kill", "-s", "CONT", *units)
        lab.wait_well(90)
        lab.wait_seen(host, 90)
        assert lab.stays(before), fault


@pytest.mark.parametrize("alone", [False, True], ids=["with-agent", "agent-and-broker-dead"])
def test_sanlock_killed(lab, alone):
    dead = ["ovirt-ha-agent", "ovirt-ha-broker"] if alone else []
    for restart in (False, True):
        host, before = lab.vm_host(), lab.qemu()
        for unit in dead:
            lab.run(host, "systemctl", "mask", "--runtime", f"{unit}.service")
            lab.run(host, "systemctl", "kill", "-s", "KILL", unit)
        if not restart:
            lab.run(host, "systemctl", "mask", "--runtime", "sanlock.service")
        lab.run(host, "sh", "-c", "kill -9 $(pidof sanlock)" + ("; systemctl restart sanlock" if restart else ""),
                timeout=60)
        lab.wait(f"!vm=up@{host}", 5)
        lab.wait_elsewhere(host, TAKEOVER_SECONDS)
        for unit in [*dead, "sanlock"]:
            lab.run(host, "systemctl", "unmask", "--runtime", f"{unit}.service")
        lab.run(host, "systemctl", "start", "sanlock", "ovirt-ha-broker", "ovirt-ha-agent", timeout=60)
        lab.wait_well(90)
        assert not set(before) & set(lab.qemu())


def test_agent_restarted_while_the_vm_is_healthy_elsewhere(lab):
    host = lab.others(lab.vm_host())[0]
    before, seen = lab.qemu(), len(lab.witness.all_processes())
    lab.run(host, "systemctl", "restart", "ovirt-ha-agent", timeout=60)
    lab.command("wait", f"vm=up@{host}", "--timeout", 30, timeout=60, check=False)
    assert lab.stays(before) and len(lab.witness.all_processes()) == seen, "a start was tried"
    lab.wait_well(60)


def test_stop_of_all_daemons_is_quick_and_keeps_the_vm(lab):
    host, before = lab.vm_host(), lab.qemu()
    lab.run(host, "timeout", "2", "systemctl", "stop", "ovirt-ha-agent", "ovirt-ha-broker", "ovirt-ha-guard")
    assert lab.stays(before) and lab.holds(f"lockspace@{host}=joined && lease={host}")
    lab.run(host, "systemctl", "start", "ovirt-ha-guard", "ovirt-ha-broker", "ovirt-ha-agent", timeout=60)
    lab.wait_well(60)
    assert lab.stays(before)
