# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host's daemons do while its storage misbehaves, and whether it did.

Looks at broker and agent of one host all along a fault: they stay the processes that they were, their main threads never
wait in the kernel for storage, their memory stays, and --vm-status answers at once; where the guard resets the host, up to
that moment. Beside them a reader of the host's own reads the storage once, past all caches: what becomes of it proves
the fault. Changes nothing.
"""
import json
import re
import statistics
import subprocess
import threading

import lab_storage
from lab_place import read

UNITS = ("ovirt-ha-broker", "ovirt-ha-agent")
ANSWER_SECONDS = 0.05  # of half the answers at least: other processes of the machine may have been first
BUSY = 2.0  # on a machine that is too busy even for that: times what the same program takes that asks nobody
SLOWEST_ANSWER_SECONDS = 2.0
GROWTH_KIB = 1024
ASK_SECONDS = 1.0
LOOK_SECONDS = 0.03
ASK = ('start=$EPOCHREALTIME; hosted-engine --check-deployed >/dev/null; begin=$EPOCHREALTIME; '
       'said=$(timeout 10 hosted-engine --vm-status --json); code=$?; end=$EPOCHREALTIME; '
       'echo "$code $start $begin $end"; echo "$said"')
READ = ('begin=$EPOCHREALTIME; dd if="$1" of=/dev/null bs=4096 count=6 iflag=direct 2>/tmp/fault-read; code=$?; '
        'echo "$code $begin $EPOCHREALTIME"; cat /tmp/fault-read')


def dirty_kib(pid):
    """Private dirty memory of a process."""
    return sum(int(line.split()[1]) for line in (read(f"/proc/{pid}/smaps_rollup") or "").splitlines()
               if line.startswith("Private_Dirty:"))


def state_of(pid):
    stat = read(f"/proc/{pid}/stat")
    return stat.rsplit(")", 1)[1].split()[0] if stat else None


class FaultWatch:
    def __init__(self, lab, host):
        self.lab, self.host = lab, lab.lab.host(host)
        self.pid1, self.gone = self.host.pid1(), False
        self.pids = dict(zip(UNITS, lab.unit_pids(host, UNITS)))
        self.dirty = self.last_dirty = self.dirty_now()
        self.asleep, self.answers, self.wrong = [], [], []
        self.idle = []
        self.reader = None
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.look, self.ask)]

    def there(self):
        """The host still is the one that it was: not reset."""
        self.gone = self.gone or self.host.pid1() != self.pid1
        return not self.gone

    def dirty_now(self):
        return {unit: dirty_kib(pid) for unit, pid in self.pids.items()}

    def inside(self, script, *arguments):
        return ["nice", "-n", "-10", *self.host.enter(self.host.pid1()), "bash", "-c", script, "bash", *arguments]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(15)
        if kind is None:
            self.verify()

    def look(self):
        before = set()
        while not self.ending.wait(LOOK_SECONDS) and self.there():
            now = {unit for unit, pid in self.pids.items() if state_of(pid) == "D"}
            # At one look alone it may have been a page of its program; and what the guard's reset of its host has killed waits
            # for its files.
            stacks = [(unit, read(f"/proc/{self.pids[unit]}/stack") or "") for unit in now & before]
            self.asleep += [(unit, stack) for unit, stack in stacks if " do_exit+" not in stack]
            before = now

    def ask_once(self):
        if not self.there():
            return
        dirty = self.dirty_now()
        done = subprocess.run(self.inside(ASK), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=20)
        # Its PID 1 stays for as long as a process of it hangs in the kernel.
        self.gone = self.gone or (not done.stdout and self.host.ask("true") is None)
        if not self.there():
            return
        self.last_dirty = dirty
        head, _, text = done.stdout.partition("\n")
        code, start, begin, end = head.split()
        self.idle.append(float(begin) - float(start))
        if code == "0":
            self.answers.append((float(end) - float(begin), json.loads(text)[self.host.key]))
        else:
            self.wrong.append(f"exit {code}: {text}")

    def ask(self):
        try:
            while not self.ending.wait(ASK_SECONDS):
                self.ask_once()
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            self.wrong.append(repr(error))

    def begin_read(self):
        """Right after the fault was set."""
        path = lab_storage.path_in_host(self.lab.lab.required_settings(), "conf")
        self.reader = subprocess.Popen(self.inside(READ, path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def end_read(self, seconds):
        """(exit code, seconds it took, what it said) of the reader; it ends by the end of the fault at the latest."""
        head, _, text = self.reader.communicate(timeout=seconds)[0].partition("\n")
        code, begin, end = head.split()
        return int(code), float(end) - float(begin), text

    # What --vm-status told meanwhile.

    def stuck(self):
        """Longest `stuck-for`, in seconds."""
        return max((own["storage"]["stuck-for"] or 0 for _, own in self.answers), default=0)

    def said_for(self):
        """Longest time that the storage was said to be stuck or to fail for, in seconds."""
        found = re.findall(r"storage: (?:I/O stuck|writes fail|reads fail) for (\d+) s", self.troubles())
        return max(map(int, found), default=0)

    def troubles(self):
        return "\n".join(own.get("trouble", "") for _, own in self.answers)

    def renewals(self, *names):
        """The largest value that sanlock's history of renewals had under one of the names."""
        return max(((own["storage"]["renewals"] or {}).get(name) or 0 for _, own in self.answers for name in names), default=0)

    def verify(self):
        host = self.host.key
        if self.there():
            now = dict(zip(UNITS, self.lab.unit_pids(host, UNITS)))
            assert now == self.pids, f"restarted: {self.pids} -> {now}"
            self.last_dirty = self.dirty_now()
        assert not self.asleep, f"in state D: {self.asleep[:5]}"
        growth = {unit: self.last_dirty[unit] - self.dirty[unit] for unit in UNITS}
        assert max(growth.values()) < GROWTH_KIB, f"memory grew: {growth} KiB from {self.dirty}"
        assert not self.wrong and self.answers, self.wrong
        times = [seconds for seconds, _ in self.answers]
        median, idle = statistics.median(times), statistics.median(self.idle)
        print(f"host {host}: {len(times)} answers, {median * 1000:.0f} ms, slowest {max(times) * 1000:.0f} ms, asking nobody "
              f"{idle * 1000:.0f} ms; "
              f"stuck for {self.stuck()} s; growth {growth} KiB; renewals read {self.renewals('slowest-read-ms')} ms, "
              f"write {self.renewals('slowest-write-ms')} ms, timeouts {self.renewals('timeouts')}, errors "
              f"{self.renewals('errors')}; {sorted(set(self.troubles().splitlines()))[:3]}")
        assert median < max(ANSWER_SECONDS, BUSY * idle) and max(times) < SLOWEST_ANSWER_SECONDS, f"--vm-status: {times}"
