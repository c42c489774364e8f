# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each host's own /proc/stat and /proc/meminfo: the machine's would be the same in all hosts.

A process of the lab (lab_load.py FOLDER) writes them once a second as hosts/N/load/wish asks: CPU load in
percent, free memory in MiB, or `real` for the machine's own. Files keep their length, so a reader never sees
half of one. Started by up, ended by down.
"""
import glob
import json
import os
import signal
import subprocess
import sys
import time

from lab_place import CLEAN_ENVIRONMENT, read, read_pid, write, write_pid

TICKS = os.sysconf("SC_CLK_TCK")
DEFAULT = {"cpu": 2, "memfree": 8192}
MEMORY_MIB = 16384
STAT_LENGTH, MEMINFO_LENGTH = 32768, 2048  # libvirt refuses a longer meminfo


def make_files(host):
    write(f"{host.folder}/load/wish", json.dumps(DEFAULT))
    update(f"{host.folder}/load", [0, 0], 0)


def wish(host, key, value):
    wishes = json.loads(read(f"{host.folder}/load/wish"))
    wishes[key] = value
    write(f"{host.folder}/load/wish.new", json.dumps(wishes))
    os.rename(f"{host.folder}/load/wish.new", f"{host.folder}/load/wish")


def overwrite(path, text, length):
    """In place, since the file is bound over another, and in one write of unchanged length."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o444)
    try:
        os.pwrite(file, text.encode().ljust(length, b"\n")[:length], 0)
    finally:
        os.close(file)


def update(folder, jiffies, seconds):
    """Advances one host's files by `seconds`; `jiffies` = [busy, idle] so far, kept by the caller."""
    wishes = json.loads(read(f"{folder}/wish") or "{}") or DEFAULT
    # Without the interrupt counters, whose line can outgrow the file.
    machine = [line for line in read("/proc/stat").splitlines() if not line.startswith(("intr", "softirq"))]
    if wishes["cpu"] == "real":
        stat = "\n".join(machine)
    else:
        ticks = round(seconds * TICKS)
        busy = round(ticks * wishes["cpu"] / 100)
        jiffies[0] += busy
        jiffies[1] += ticks - busy
        counts = f"{jiffies[0]} 0 0 {jiffies[1]} 0 0 0 0 0 0"
        rest = [line for line in machine if not line.startswith("cpu")]
        stat = "\n".join([f"cpu  {counts}", f"cpu0 {counts}", *rest])
    overwrite(f"{folder}/stat", stat, STAT_LENGTH)
    if wishes["memfree"] == "real":
        meminfo = read("/proc/meminfo")
    else:
        kib = wishes["memfree"] * 1024
        meminfo = (f"MemTotal:       {MEMORY_MIB * 1024:8d} kB\nMemFree:        {kib:8d} kB\n"
                   f"MemAvailable:   {kib:8d} kB\nBuffers:               0 kB\nCached:                0 kB\n"
                   "SwapTotal:             0 kB\nSwapFree:              0 kB\n")
    overwrite(f"{folder}/meminfo", meminfo, MEMINFO_LENGTH)


def start(lab):
    updater = subprocess.Popen(["/usr/bin/python3", __file__, lab.folder], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                               cwd="/", env=CLEAN_ENVIRONMENT)
    write_pid(f"{lab.folder}/load.pid", updater.pid)


def stop(lab):
    pid = read_pid(f"{lab.folder}/load.pid")
    if pid:
        os.kill(pid, signal.SIGKILL)


def main(lab_folder):
    jiffies, before = {}, time.monotonic()
    while os.path.isdir(f"{lab_folder}/hosts"):
        time.sleep(1)
        now = time.monotonic()
        for folder in glob.glob(f"{lab_folder}/hosts/*/load"):
            update(folder, jiffies.setdefault(folder, [0, 0]), now - before)
        before = now


if __name__ == "__main__":
    main(sys.argv[1])
