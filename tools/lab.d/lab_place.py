# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a lab lives: its names, folders and addresses, and the few calls to the machine that every part needs.

Decides names only: namespaces and cgroups are `ovha.LAB.hKEY`, so that remains are found by name even when a
half-made lab has no record of itself. Holds no state of its own; lab.json keeps what `up` chose. Used by all
other parts; may not use them.
"""
import contextlib
import fcntl
import json
import os
import re
import subprocess
import time
import uuid

BASE = "/run/ovirt-ha-lab"
NAME = re.compile(r"[a-z][a-z0-9]{0,15}$")
HOSTS_MAX = 9
NETWORK = "10.90.0"  # the same in every lab: each has its own switch, which leads nowhere
GUEST_ADDRESS = NETWORK + ".100"
SWITCH_ADDRESS = NETWORK + ".254"
STORAGE_NETWORK = "10.90.1"
STORAGE_ADDRESS = STORAGE_NETWORK + ".254"  # of the server
CLEAN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
CONSOLE_FILE = "/var/log/libvirt/qemu/engine-console.log"
COMMAND_SOCKET = "/var/lib/libvirt/qemu/engine-commands.sock"


class LabError(Exception):
    """What the user can act on; shown as one line."""


def monotonic():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def call(*command, timeout=20, check=True, **options):
    """Runs a command of the machine and returns its stdout; never waits longer than `timeout` seconds."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, text=True, errors="replace",
                              env=dict(CLEAN_ENVIRONMENT, **options.pop("env", {})), **options)
    except subprocess.TimeoutExpired:
        if check:
            raise LabError(f"no answer in {timeout} s: {' '.join(command)}") from None
        return None
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: run tools/setup") from None
    if done.returncode and check:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or 'exit ' + str(done.returncode)}")
    return done.stdout if not done.returncode else None


def until(condition, seconds, what):
    """Polls `condition` until it answers something true; LabError names `what` at the deadline."""
    deadline = monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds} s")
        time.sleep(0.03)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def read(path):
    """The file's text, or None where it can't be read (a process that went away, a host not booted yet)."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return None


def start_time(pid):
    """Start of a process in clock ticks: a pid alone may name another process by now."""
    stat = read(f"/proc/{pid}/stat")
    return stat.rsplit(")", 1)[1].split()[19] if stat else None


def write_pid(path, pid):
    write(path, f"{pid} {start_time(pid)}\n")


def read_pid(path):
    """The pid written by write_pid while that same process still lives, else None. One whose first thread has ended has its
    files and locks until its last one has."""
    pid, _, started = (read(path) or "").strip().partition(" ")
    if not pid or start_time(pid) != started:
        return None
    stat = read(f"/proc/{pid}/stat")
    if not stat:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return int(pid) if fields[0] != "Z" or int(fields[17]) > 1 else None


def cgroup_roots():
    """The hierarchies that a host needs a group of its own in, the unified one first."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return ["/sys/fs/cgroup"]
    return [root for root in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd") if os.path.isdir(root)]


def host_of_process(pid, lab_name):
    """The key of the host whose cgroup holds the process, or None."""
    for line in (read(f"/proc/{pid}/cgroup") or "").splitlines():
        found = re.search(rf"/ovha\.{lab_name}\.h(\w+)(/|$)", line)
        if found:
            return found.group(1)
    return None


class Host:
    """Names and folders of one host. `key` is its number, or NUMBERc for its clone."""

    def __init__(self, lab, key):
        self.lab, self.key = lab, str(key)
        self.host_id = int(self.key.rstrip("c"))
        self.number = self.host_id + (50 if self.key.endswith("c") else 0)
        self.folder = f"{lab.folder}/hosts/{self.key}"
        self.root = f"{self.folder}/root"
        self.full_name = f"ovha.{lab.name}.h{self.key}"
        self.hostname = f"h{self.host_id}"
        self.address = f"{NETWORK}.{self.number}"
        self.storage_address = f"{STORAGE_NETWORK}.{self.number}"
        self.port = f"p{self.number}"
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.key}.{lab.name}.host"))

    def pid1(self):
        """Pid of the host's systemd in the machine's view, or None while the host is off."""
        return read_pid(f"{self.folder}/pid1")

    def enter(self, pid1):
        return ["nsenter", "-t", str(pid1), "-a", "--", "env", "-i",
                *[f"{key}={value}" for key, value in CLEAN_ENVIRONMENT.items()]]

    def ask(self, *command, timeout=3):
        """stdout of a command inside the host; None when the host is off, it failed or was too slow."""
        pid1 = self.pid1()
        return call(*self.enter(pid1), *command, timeout=timeout, check=False) if pid1 else None


class Lab:
    def __init__(self, name="lab", base=BASE):
        if not NAME.match(name):
            raise LabError(f"'{name}' is no lab name: a letter, then up to 15 letters and digits, all lower case")
        self.name, self.base = name, base
        self.folder = f"{base}/{name}"
        self.switch = f"ovha.{name}.sw"
        self.vmid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"engine.{name}"))
        self.domain_uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"domain.{name}"))
        self.tree = f"{self.folder}/tree"

    def settings(self):
        """What `up` chose, or None while the lab is not (wholly) there."""
        text = read(f"{self.folder}/lab.json")
        return json.loads(text) if text else None

    def required_settings(self):
        settings = self.settings()
        if settings is None:
            raise LabError(f"lab '{self.name}' is not up: run tools/lab --name {self.name} up")
        return settings

    def save(self, settings):
        write(f"{self.folder}/lab.json.new", json.dumps(settings, indent=1) + "\n")
        os.rename(f"{self.folder}/lab.json.new", f"{self.folder}/lab.json")

    def hosts(self):
        return [Host(self, key) for key in self.required_settings()["hosts"]]

    def host(self, key):
        keys = self.required_settings()["hosts"]
        if str(key) not in keys:
            raise LabError(f"lab '{self.name}' has no host {key}; it has {' '.join(keys)}")
        return Host(self, key)

    @contextlib.contextmanager
    def locked(self, seconds=120):
        """One command at a time makes or ends hosts of a lab. The lock's file goes with the last of it."""
        path, deadline = f"{self.base}/{self.name}.lock", monotonic() + seconds
        while True:
            os.makedirs(self.base, exist_ok=True)
            file = self.take(path)
            if file:
                break
            if monotonic() > deadline:
                raise LabError(f"another command works on lab '{self.name}' for over {seconds} s")
            time.sleep(0.1)
        with file:
            yield
            if not os.path.isdir(self.folder):
                os.unlink(path)

    @staticmethod
    def take(path):
        """The locked file, or None: another has it, or it was unlinked meanwhile by the one who had it."""
        try:
            file = open(path, "w")
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        file.close()
        return None

    def running_hosts(self):
        """Keys of hosts with a living process, found by cgroup and thus without lab.json."""
        root, keys = cgroup_roots()[0], []
        prefix = f"ovha.{self.name}.h"
        for entry in sorted(os.listdir(root)):
            if entry.startswith(prefix) and self.processes(f"{root}/{entry}"):
                keys.append(entry[len(prefix):])
        return keys

    @staticmethod
    def processes(group):
        pids = []
        for folder, _, _ in os.walk(group):
            pids += [int(pid) for pid in (read(f"{folder}/cgroup.procs") or "").split() if pid != "0"]
        return pids
