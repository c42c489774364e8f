#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the daemons in labs of three hosts, beside what the same hosts need without them.

How long the VM is gone when its QEMU is killed, with corosync and without, or its host loses power; how long its page is
away when it is moved, beside a bare `virsh migrate` by turns in the same lab; what the daemons weigh and use idle, what they
read, and how soon the broker answers while its storage hangs. Prints each figure and keeps it for the table (bench_figures.py).
Judges nothing: a busy machine makes any of it slower. Called by tests/run --suite bench; runs alone, since a second lab
or a compiler beside it is seen in the numbers.
"""
import argparse
import contextlib
import glob
import os
import re
import shutil
import statistics
import sys
import time

TOP = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
sys.path[:0] = [f"{TOP}/tools/lab.d", f"{TOP}/tests/e2e", f"{TOP}/tests/bench"]
sys.dont_write_bytecode = True

from bench_figures import record  # noqa: E402
from lab_driver import LabDriver  # noqa: E402
from lab_place import LabError, call, monotonic, read  # noqa: E402
import lab_engine  # noqa: E402
import lab_storage  # noqa: E402
from service_gap import ServiceGap  # noqa: E402

KILLS = MOVES = 10
CUTS, CUTS_FULL = 3, 10  # each waits more than a minute for sanlock
IDLE_MINUTES = 2
# ovirt-ha-notify is none: it lives while there is mail to be sent.
DAEMONS = ("ovirt-ha-agent", "ovirt-ha-broker", "ovirt-ha-guard", "ovirt-ha-storage")
# A host stands back after an unexpected end for 560 s. Ten kills on three hosts need it shorter, but long enough that
# it does not take the VM back itself. And a VM that is healthy for a second counts as one that did not crash before: the
# last host would start it later and later.
HEALTHY_CLEARS = 1
LOOP, STALE = 10, 60  # seconds: agent.policy.loop, in which the agent sees at the latest what time has brought, and .stale
SETTINGS = ("--set", "agent.policy.unexpected=15", "--set", f"agent.policy.healthy_clears={HEALTHY_CLEARS}")
# A maintenance command returns two loops after its write, and each move has two.
MOVES_SETTINGS = ("--set", "agent.policy.loop=2")
# Idle as clusters are: with an io_timeout of 1 s what sanlock tells by itself is always too old for the guard, which
# has to ask further (daemon/guard_rule.h).
IDLE_IO_TIMEOUT = 10


def figure(name, unit, limit, values):
    record(name, unit, limit, values)
    stated = "" if limit is None else f", limit {limit:.3g}"
    print(f"{name:<52} {statistics.median(values):>9.3f} {unit} ({min(values):.3f} .. {max(values):.3f}, n {len(values)})"
          f"{stated}", flush=True)


def runs_again(lab, hosts, seconds):
    """Seconds until one of `hosts` has taken the lease, if it did not have it, and has QEMU; the lease is taken when the VM begins
    to run. Who owns it is asked only when its record on storage has changed: a process each time would take a core from
    what is measured."""
    begin = monotonic()
    seen = lease = None
    with open(lab_storage.device(lab.lab, "leases"), "rb", buffering=0) as file:
        while monotonic() - begin < seconds:
            leader = os.pread(file.fileno(), 512, 0)
            if leader != seen:
                seen, lease = leader, lab_storage.lease(lab.lab)
            if lease and str(lease["owner"]) in hosts and \
                    str(lease["owner"]) in lab_engine.processes(lab.lab).values():  # others may try in vain yet
                return monotonic() - begin
            time.sleep(0.02)
    raise AssertionError(f"the VM runs on none of the hosts {hosts} after {seconds} s")


def bare_kills(lab):
    """With libvirt and sanlock alone, and us to create the VM on the other host once QEMU is gone: the limit of what any daemons
    can do. Returns the median."""
    taken, host = [], 1
    lab.join(1, 2)
    lab.create(host)
    for _ in range(KILLS):
        other = 3 - host
        create = [*lab.lab.host(other).enter(lab.lab.host(other).pid1()), "virsh", "-q", "create", lab.put_domain(other)]
        _, gone = lab_engine.kill(lab.lab)
        begin = monotonic()
        call(*create, timeout=90)
        taken.append(gone + monotonic() - begin)
        host = other
    figure("bare: VM killed, created on another host", "s", None, taken)
    return statistics.median(taken)


def kills(lab, what, limit):
    taken = []
    for _ in range(KILLS):
        lab.wait_well(90)
        host = lab.vm_host()
        lab.wait_seen(host, 60)
        _, gone = lab_engine.kill(lab.lab)
        taken.append(gone + runs_again(lab, lab.others(host), 60))
    figure(f"VM killed, running on another host, {what}", "s", limit, taken)


def kills_on_last_host(lab):
    """All others have lost their power, and their records say nothing any more."""
    lab.wait_well(90)
    last = lab.vm_host()
    for host in lab.others(last):
        lab.kill(host)
    lab.wait(" && ".join(f"age@{host}>{STALE}" for host in lab.others(last)), 90)
    taken = []
    for _ in range(KILLS):
        lab.wait(f"state@{last}=EngineUp && http=ok", 90)
        time.sleep(LOOP + HEALTHY_CLEARS)
        _, gone = lab_engine.kill(lab.lab)
        taken.append(gone + runs_again(lab, [last], 60))
    figure("VM killed, running again on the last host", "s", 1, taken)


def last_renewal(lab, host):
    """When a host that is off renewed its host id last, as it stands in the lockspace, in s of the one clock of all hosts."""
    words = lab_storage.sanlock_direct(lab.lab, "read_leader", "-s",
                                       f"hosted-engine:{host}:{lab_storage.device(lab.lab, 'lockspace')}:0")
    return int(re.search(r"^timestamp (\d+)$", words, re.M).group(1))


def sanlock_dead(lab, host, dead):
    """When the first sanlock of the others took `host`, which is off, for dead. Before that it gives the lease to nobody: it
    counts whole seconds from when it saw the last renewal itself, which it looks for every 2 x io_timeout, and `dead` must
    be over ("paxos_acquire owner .. dead NOW-SEEN>68", in its log at an io_timeout of 1)."""
    seen = []
    for other in lab.others(host):
        words = lab.run(other, "sanlock", "client", "host_status", "-D", "-s", "hosted-engine", check=False).stdout
        lines = re.search(rf"^{host} timestamp \d+$((?:\n +\w+=.*)+)", words, re.M)
        assert lines, f"sanlock of host {other} tells nothing of host {host}: {words}"
        seen.append(int(re.search(r" last_live=(\d+)$", lines.group(1), re.M).group(1)))
    return min(seen) + dead + 1


def power_cuts(lab, count):
    dead = 8 * lab.lab.required_settings()["io_timeout"] + 60
    taken, over, after = [], [], []
    for _ in range(count):
        lab.wait_well(90)
        host = lab.vm_host()
        begin = monotonic()
        lab.kill(host)
        runs_again(lab, lab.others(host), dead + 60)
        now = monotonic()
        taken.append(now - begin)
        over.append(now - sanlock_dead(lab, host, dead))
        after.append(now - last_renewal(lab, host) - dead)
        lab.boot(host)
    figure("power cut, running on another host", "s", None, taken)
    figure("power cut, over sanlock's dead time", "s", 1, over)
    figure("the same, from the renewal itself", "s", None, after)


def gap_of(lab, move):
    """Where the VM was, and the seconds that the engine's page was away while `move` took it elsewhere."""
    source = lab.vm_host()
    gap = ServiceGap(lab.lab)
    try:
        move(source)
        lab.wait(f"!vm=up@{source} && vm=up && http=ok", 60)
        return source, gap.longest()
    finally:
        gap.end()


def moves(lab):
    """By turns, so that what slows one slows the other."""
    begun, ours, bare = [], [], []

    def maintain(source):
        before = monotonic()
        lab.lab.host(source).ask("hosted-engine", "--set-maintenance", "--mode=local", timeout=60)
        begun.append(journal_time(lab, source, "action migrate begun") - before)

    def migrate(source):
        target = lab.lab.host(lab.others(source)[0])
        lab.run(source, "virsh", "migrate", "--live", "--p2p", "HostedEngine", f"qemu+tcp://{target.address}/system")

    for _ in range(MOVES):
        settle(lab)
        source, gap = gap_of(lab, maintain)
        ours.append(gap)
        lab.operator(source, "--set-maintenance", "--mode=none")
        settle(lab)
        bare.append(gap_of(lab, migrate)[1])
    figure("maintenance command, migration begun", "s", 0.3, begun)
    figure("bare: page away while virsh migrates", "s", None, bare)
    figure("page away in a planned move", "s", 1.5 * statistics.median(bare), ours)


def settle(lab):
    """The VM's host has seen it well, and that every other one could take it."""
    lab.wait_well(90)
    lab.wait(f"state@{lab.vm_host()}=EngineUp", 60)
    lab.wait_seen(lab.vm_host(), 60)


def journal_time(lab, host, what):
    """Of the agent's last line that begins so, by the clock that all hosts share."""
    lines = lab.run(host, "journalctl", "-b", "-q", "-o", "short-monotonic", "--no-pager", "-u", "ovirt-ha-agent").stdout
    return float(re.findall(rf"^\[ *([0-9.]+)\] .*?: {what}", lines, re.M)[-1])


def daemons(lab, host):
    """{daemon: pid in the machine's view}"""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        group = (read(f"/proc/{entry}/cgroup") or "").rstrip()
        for daemon in DAEMONS:
            if group.endswith(f"/{daemon}.service") and f"/ovha.{lab.lab.name}.h{host}/" in group:
                found[daemon] = int(entry)
    assert set(found) == set(DAEMONS), f"host {host}: {found}"
    return found


def cpu_seconds(pids):
    """Of their threads, which is counted exactly, and of children that have ended, in ticks."""
    own = children = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            own += int((read(path) or "0").split()[0])
        fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
        children += int(fields[13]) + int(fields[14])
    return own / 1e9 + children / os.sysconf("SC_CLK_TCK")


def kib(pid, name):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} of {pid}")


def first_decision(lab):
    """From the join of the lockspace until the agent may decide to start the VM, by the hosts' own journals."""
    taken = []
    for host in lab.keys():
        lines = lab.run(host, "journalctl", "-b", "-o", "short-monotonic", "--no-pager", "-u", "ovirt-ha-*").stdout
        times = [[float(word) for word in re.findall(rf"(?m)^\[ *([0-9.]+)\].*{what}", lines)]
                 for what in ("-> joined host_id=", r"penalty no-(?:host-id|knowledge) \d+ -> 0")]
        taken.append(max(times[1]) - min(times[0]))
    figure("join, then first decision", "s", None, taken)


def idle(lab, what, limit):
    lab.wait("vm=up && http=ok", 240)
    lab.wait_well(240)
    lab.wait_seen(lab.vm_host(), 60)
    pids = {host: daemons(lab, host) for host in lab.keys()}
    dirty, cpu, scans, all_reads = [], [], [], []
    for _ in range(IDLE_MINUTES):
        used = {host: cpu_seconds(pids[host].values()) for host in pids}
        scanned = {host: lab.board_kib(host, "store-scan") for host in pids}
        own = {host: lab.board_kib(host, "store-own") for host in pids}
        time.sleep(60)
        for host in pids:
            cpu.append(cpu_seconds(pids[host].values()) - used[host])
            scans.append((lab.board_kib(host, "store-scan") - scanned[host]) / 6)
            all_reads.append(scans[-1] + (lab.board_kib(host, "store-own") - own[host]) / 6)
            dirty.append(sum(kib(pid, "Private_Dirty") for pid in pids[host].values()) / 1024)
    figure(f"private dirty memory of all daemons, {what}", "MB", 6, dirty)
    figure(f"CPU of all daemons idle, per minute, {what}", "s", 0.03, cpu)
    figure(f"whiteboard read per 10 s, {what}", "KiB", limit, scans)
    figure(f"the same, with the looks at the own block, {what}", "KiB", None, all_reads)


def query_of_hung_storage(lab):
    """Of a host beside the VM's: its sanlock gives up meanwhile, and it joins again by itself."""
    lab.wait_well(90)
    host = lab.others(lab.vm_host())[0]
    shutil.copy(f"{lab.build}/tests/bench/bench_query", f"{lab.lab.folder}/hosts/{host}/root/root/bench_query")
    lab.storage(host, "hang")
    deadline = monotonic() + 60
    while not lab.own_status(host)["storage"]["stuck-for"]:
        assert monotonic() < deadline, "the storage does not hang"
    times = [float(line) for line in lab.run(host, "/root/bench_query").stdout.split()]
    lab.storage(host, "ok")
    figure("status query while storage is hung", "ms", 1, times)


@contextlib.contextmanager
def lab_up(build, *arguments):
    lab = LabDriver("bench", build)
    try:
        lab.down()
        lab.up(*arguments)
        yield lab
    finally:
        lab.down()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=f"{TOP}/build", help="build directory of the project")
    parser.add_argument("--full", action="store_true", help="as many power cuts as kills")
    args = parser.parse_args()
    try:
        with lab_up(args.build, "-n", "2", "--no-project") as lab:
            bare = bare_kills(lab)
        with lab_up(args.build, *SETTINGS) as lab:
            begin = monotonic()
            lab.wait("vm=up && http=ok", 90)
            figure("lab up, then engine answers", "s", None, [monotonic() - begin])
            lab.wait_well(90)
            first_decision(lab)
            kills(lab, "no corosync", min(3, 2 * bare + 0.3))
            query_of_hung_storage(lab)
            power_cuts(lab, CUTS_FULL if args.full else CUTS)
            kills_on_last_host(lab)
        with lab_up(args.build, "--corosync", *SETTINGS) as lab:
            lab.wait("vm=up && http=ok", 90)
            kills(lab, "corosync", min(1, 2 * bare + 0.3))
        with lab_up(args.build, *MOVES_SETTINGS) as lab:
            moves(lab)
        with lab_up(args.build, "--corosync", "--io-timeout", str(IDLE_IO_TIMEOUT)) as lab:
            idle(lab, "corosync", 32)
            for key in lab.keys():
                lab.run(key, "systemctl", "stop", "corosync")
            idle(lab, "no corosync", 64)
    except (AssertionError, LabError) as error:
        print(f"bench_lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
