# SPDX-License-Identifier: LGPL-2.1-or-later
"""The witness: sees from outside of all hosts whether two engine VMs ever ran together.

Looks at three things, stamped by one clock (CLOCK_MONOTONIC): life times of the QEMU processes that carry the
engine's uuid (pidfd), the run time of their vCPU threads, and the ticks that a running guest prints on its
console. A paused QEMU uses no vCPU time and prints no ticks; it may live beside a running one. Asks the
daemons, libvirt and sanlock nothing, changes nothing. Used by every end-to-end case through `conftest`.
"""
import glob
import os
import re
import select
import threading

import lab_engine
from lab_place import CONSOLE_FILE, host_of_process, monotonic, read

SAMPLE_SECONDS = 0.02
YOUNG_SECONDS = 2.0  # a process is looked at again for so long after its birth: libvirt forks, then executes QEMU
WINDOW_SECONDS = 0.1
RUNNING_NS = 2_000_000  # per window; a guest that boots or ticks takes more, a paused one nothing
WINDOWS_TOGETHER = 2  # one window may hold the end of one and the start of the other
TICK = re.compile(rb"TICK ([0-9a-f-]{36}) (\d+)\r?\n")


class Process:
    """One QEMU of the engine: host, life time, and the windows in which its guest ran."""

    def __init__(self, pid, host, handle, now):
        self.pid, self.host, self.handle = pid, host, handle
        self.start, self.end = now, None
        self.windows = set()
        self.threads, self.runtime = [], None

    def vcpu_runtime(self):
        """ns on a CPU of all vCPU threads; None before they are there, or when the process is gone."""
        if not self.threads:
            self.threads = [path for path in glob.glob(f"/proc/{self.pid}/task/*")
                            if (read(f"{path}/comm") or "").startswith("CPU ")]
        counts = [read(f"{path}/schedstat") for path in self.threads]
        return sum(int(count.split()[0]) for count in counts) if counts and all(counts) else None


class Witness:
    def __init__(self, lab):
        self.lab = lab
        self.processes, self.ticks = {}, []  # ticks: (stamp, host, boot id, n)
        self.finished = []
        self.seen, self.young, self.consoles = set(), {}, {}
        self.window = None
        self.error = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="witness", daemon=True)

    def start(self):
        self.seen = set(os.listdir("/proc"))
        for pid, host in lab_engine.processes(self.lab).items():
            self.begin(pid, host, monotonic())
        self.look_at_consoles(monotonic(), skip=True)
        self.thread.start()
        return self

    def stop(self, seconds=10):
        """Ends it; a witness that hangs is left behind, and verify() says so."""
        self.ending.set()
        self.thread.join(seconds)
        if self.thread.is_alive():
            self.error = self.error or TimeoutError(f"it hangs for {seconds} s")
            return
        now = monotonic()
        for process in [*self.processes.values()]:
            self.finish(process, now)

    def watch(self):
        try:
            poll = select.poll()
            while not self.ending.is_set():
                known = {process.handle: process for process in self.processes.values()}
                for handle in known:
                    poll.register(handle, select.POLLIN)
                ended = poll.poll(SAMPLE_SECONDS * 1000)
                now = monotonic()
                for handle in known:
                    poll.unregister(handle)
                for handle, _ in ended:
                    self.finish(known[handle], now)
                self.look_at_processes(now)
                self.look_at_consoles(now)
                self.look_at_windows(now)
        except Exception as error:  # shown by verify(): a witness that broke has proved nothing
            self.error = error

    def begin(self, pid, host, now):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self.processes[pid] = Process(pid, host, handle, now)

    def finish(self, process, now):
        process.end = now
        os.close(process.handle)
        del self.processes[process.pid]
        self.finished.append(process)

    def look_at_processes(self, now):
        entries = set(os.listdir("/proc"))
        for entry in entries - self.seen:
            if entry.isdigit():
                self.young[entry] = now
        self.seen = entries
        for entry, born in list(self.young.items()):
            pid = int(entry)
            if (read(f"/proc/{entry}/comm") or "").startswith("qemu-system") and \
                    lab_engine.is_engine(pid, self.lab.vmid):
                host = host_of_process(pid, self.lab.name)
                if host and pid not in self.processes:
                    self.begin(pid, host, now)
                del self.young[entry]
            elif now - born > YOUNG_SECONDS or entry not in entries:
                del self.young[entry]

    def look_at_consoles(self, now, skip=False):
        for path in glob.glob(f"{self.lab.folder}/hosts/*/root{CONSOLE_FILE}"):
            position, rest = self.consoles.get(path, (0, b""))
            try:
                with open(path, "rb") as file:
                    file.seek(0 if not skip else 0, os.SEEK_END if skip else os.SEEK_SET)
                    if not skip:
                        file.seek(position)
                    text = rest + file.read()
                    position = file.tell()
            except OSError:
                continue
            end = 0
            for found in TICK.finditer(text):
                self.ticks.append((now, path.split("/hosts/")[1].split("/")[0], found.group(1).decode(),
                                   int(found.group(2))))
                end = found.end()
            self.consoles[path] = (position, text[end:][-256:])

    def look_at_windows(self, now):
        if self.window is not None and now < self.window[1] + WINDOW_SECONDS:
            return
        number = (self.window[0] if self.window else 0) + 1
        self.window = (number, now)
        for process in self.processes.values():
            runtime = process.vcpu_runtime()
            if runtime is not None and process.runtime is not None and runtime - process.runtime > RUNNING_NS:
                process.windows.add(number)
            process.runtime = runtime

    def all_processes(self):
        return self.finished + list(self.processes.values())

    def violations(self):
        """What speaks against "never two together"; empty when nothing does."""
        return violations_of_ticks(self.ticks) + violations_of_windows(self.all_processes())

    def verify_itself(self):
        if self.error is not None:
            raise AssertionError(f"the witness broke: {self.error!r}")

    def verify(self, mute=False):
        self.verify_itself()
        found = self.violations()
        assert not found, "\n".join(["two engine VMs ran together:", *found, self.story()])
        assert self.ticks or mute and any(process.windows for process in self.all_processes()), "the witness saw no guest running:\n" + self.story()

    def story(self):
        origin = min([process.start for process in self.all_processes()] + [tick[0] for tick in self.ticks],
                     default=0)
        lines = [f"QEMU {process.pid} on host {process.host}: {process.start - origin:.2f} .. "
                 f"{'still there' if process.end is None else f'{process.end - origin:.2f}'} s, "
                 f"ran in {len(process.windows)} windows of {WINDOW_SECONDS} s" for process in self.all_processes()]
        lines += [f"guest {boot[:8]} on host {host}: ticks {begin - origin:.2f} .. {end - origin:.2f} s"
                  for (boot, host), (begin, end) in sorted(intervals(self.ticks, by_host=True).items(),
                                                           key=lambda item: item[1])]
        return "\n".join(lines)


def intervals(ticks, by_host=False):
    """{boot id (and host): (first tick, last tick)}"""
    found = {}
    for stamp, host, boot, _ in ticks:
        key = (boot, host) if by_host else boot
        found[key] = (found.get(key, (stamp, stamp))[0], stamp)
    return found


def violations_of_ticks(ticks):
    """Two boots must not tick in turns, and one boot must count upwards: its copy would repeat numbers."""
    found, last = [], {}
    ordered = sorted(intervals(ticks).items(), key=lambda item: item[1])
    for index, (boot, (_, end)) in enumerate(ordered):
        for other, (begin, _) in ordered[index + 1:]:
            if begin <= end:
                found.append(f"guest {other[:8]} ticked {end - begin:.2f} s before the last tick of {boot[:8]}")
    for _, host, boot, number in ticks:
        if boot in last and number <= last[boot][1]:
            found.append(f"guest {boot[:8]} ticked {number} on host {host} after {last[boot][1]} on host "
                         f"{last[boot][0]}")
        last[boot] = (host, number)
    return found


def violations_of_windows(processes):
    found = []
    for index, one in enumerate(processes):
        for other in processes[index + 1:]:
            both = sorted(one.windows & other.windows)
            longest = run = 0
            for before, window in zip([None, *both], both):
                run = run + 1 if before == window - 1 else 1
                longest = max(longest, run)
            if longest >= WINDOWS_TOGETHER:
                found.append(f"QEMU {one.pid} on host {one.host} and {other.pid} on host {other.host} used their "
                             f"vCPUs together in {longest} windows of {WINDOW_SECONDS} s")
    return found
