#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the daemons in a lab of three hosts and prints what was measured beside what is stated.

How long the VM is gone when its QEMU is killed or its host loses power, what the daemons weigh, and what they use
idle. Judges nothing: a busy machine makes any of it slower. Called by tests/run --suite bench; runs alone, since a
second lab or a compiler beside it is seen in the numbers.
"""
import argparse
import glob
import os
import re
import statistics
import sys
import time

TOP = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
sys.path[:0] = [f"{TOP}/tools/lab.d", f"{TOP}/tests/e2e"]
sys.dont_write_bytecode = True

from lab_driver import LabDriver  # noqa: E402
from lab_place import monotonic, read  # noqa: E402
import lab_engine  # noqa: E402
import lab_storage  # noqa: E402

KILLS = 5
IDLE_SECONDS = 60
DAEMONS = ("ovirt-ha-agent", "ovirt-ha-broker", "ovirt-ha-guard")
# A host stands back after an unexpected end for 560 s. Five kills on three hosts need it shorter, but long enough that
# it does not take the VM back itself.
SETTINGS = ("--set", "agent.policy.unexpected=15")


def row(what, stated, measured):
    print(f"{what:<48} {stated:>22} {measured:>28}", flush=True)


def runs_elsewhere(lab, host, seconds):
    """Seconds until another host holds the lease and has QEMU; the lease is taken when the VM begins to run."""
    begin = monotonic()
    while monotonic() - begin < seconds:
        lease = lab_storage.lease(lab.lab)
        if lease and lease["owner"] not in (None, int(host)) and \
                set(lab_engine.processes(lab.lab).values()) == {str(lease["owner"])}:
            return monotonic() - begin
        time.sleep(0.02)
    raise AssertionError(f"the VM of host {host} runs nowhere else after {seconds} s")


def kills(lab):
    taken = []
    for _ in range(KILLS):
        lab.wait_well(90)
        host = lab.vm_host()
        begin = monotonic()
        lab.vm("kill")
        taken.append(monotonic() - begin + runs_elsewhere(lab, host, 60))
    row("VM killed -> running on another host", "median under 5 s",
        f"{statistics.median(taken):.2f} s ({min(taken):.2f} .. {max(taken):.2f})")


def power_cut(lab):
    lab.wait_well(90)
    dead = 8 * lab.lab.required_settings()["io_timeout"] + 60
    host = lab.vm_host()
    begin = monotonic()
    lab.kill(host)
    taken = monotonic() - begin + runs_elsewhere(lab, host, dead + 60)
    row("power cut -> running on another host", f"under {dead} + 3 s", f"{taken:.1f} s")
    lab.boot(host)


def daemons(lab, host):
    """{daemon: pid in the machine's view}"""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        group = (read(f"/proc/{entry}/cgroup") or "").rstrip()
        for daemon in DAEMONS:
            if group.endswith(f"/{daemon}.service") and f"/ovha.{lab.lab.name}.h{host}/" in group:
                found[daemon] = int(entry)
    return found


def cpu_seconds(pids):
    """(their own, their ended children's)"""
    own = children = 0
    for pid in pids:
        fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
        own += int(fields[11]) + int(fields[12])
        children += int(fields[13]) + int(fields[14])
    return own / os.sysconf("SC_CLK_TCK"), children / os.sysconf("SC_CLK_TCK")


def kib(pid, name):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} of {pid}")


def scanned_bytes(pid):
    """Read from the whiteboard since the broker's start: the bytes that its threads for others' blocks read."""
    total = 0
    for thread in glob.glob(f"/proc/{pid}/task/*"):
        if (read(f"{thread}/comm") or "").startswith("store-scan"):
            total += int(re.search(r"rchar: (\d+)", read(f"{thread}/io")).group(1))
    return total


def first_decision(lab):
    """From the join of the lockspace until the agent may decide to start the VM, by the host's own journal."""
    for host in lab.keys():
        lines = lab.run(host, "journalctl", "-b", "-o", "short-monotonic", "--no-pager", "-u", "ovirt-ha-*").stdout
        times = [float(re.search(r"\[ *([0-9.]+)\]", line).group(1)) for line in lines.splitlines()
                 if "-> joined" in line and "ovirt-ha-broker" in line or "penalty no-knowledge" in line and "-> 0" in line]
        row(f"join -> first decision, host {host}", "hosts known + 1 s", f"{times[1] - times[0]:.2f} s")


def weight(lab):
    lab.wait_well(90)
    for host in lab.keys():
        role = "VM's host" if host == lab.vm_host() else "other host"
        pids = daemons(lab, host)
        assert set(pids) == set(DAEMONS), f"host {host}: {pids}"
        dirty = sum(kib(pid, "Private_Dirty") for pid in pids.values()) / 1024
        resident = sum(kib(pid, "Rss") for pid in pids.values()) / 1024
        row(f"memory of all daemons, host {host} ({role})", "under 8 MB dirty",
            f"{dirty:.1f} MB dirty, RSS {resident:.0f} MB")
    pids = {host: daemons(lab, host).values() for host in lab.keys()}
    before = {host: cpu_seconds(pids[host]) for host in pids}
    brokers = {host: daemons(lab, host)["ovirt-ha-broker"] for host in lab.keys()}
    scanned = {host: scanned_bytes(brokers[host]) for host in brokers}
    time.sleep(IDLE_SECONDS)
    for host in lab.keys():
        own, children = ((now - then) * 60 / IDLE_SECONDS for now, then in zip(cpu_seconds(pids[host]), before[host]))
        row(f"CPU of all daemons idle, host {host}", "under 0.1 s/min",
            f"{own + children:.3f} s/min ({children:.3f} children)")
        cycle = (scanned_bytes(brokers[host]) - scanned[host]) * 10 / IDLE_SECONDS / 1024
        row(f"whiteboard read per 10 s cycle, host {host}", "blocks in use, 43 KiB of all", f"{cycle:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=f"{TOP}/build", help="build directory of the project")
    args = parser.parse_args()
    lab = LabDriver("bench", args.build)
    row("measured", "stated", "here")
    try:
        lab.down()
        lab.up(*SETTINGS)
        begin = monotonic()
        lab.wait("vm=up && http=ok", 90)
        row("lab up -> engine answers", "-", f"{monotonic() - begin:.1f} s")
        first_decision(lab)
        weight(lab)
        kills(lab)
        power_cut(lab)
    except AssertionError as error:
        print(f"bench_lab: {error}", file=sys.stderr)
        return 1
    finally:
        lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
