# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's storage domain: files of the lab, and each host's own way to them.

Every host sees lockspace, leases, metadata and conf through a qemu-storage-daemon of its own that runs
outside of it, so that one host's storage can hang (SIGSTOP) while the others see nothing; and the engine's
disk as a loop device of its own, since a shared file would meet QEMU's image lock before sanlock is asked.
Called by up, clone, storage and down; starts no host.
"""
import glob
import json
import os
import shutil
import signal
import subprocess

from lab_place import CLEAN_ENVIRONMENT, LabError, call, monotonic, read, read_pid, until, write_pid

MIB = 1 << 20
ALIGNMENT = MIB  # sanlock's for sectors of 512 bytes
FILES = {"lockspace": ALIGNMENT, "leases": 3 * ALIGNMENT, "metadata": 2002 * 4096, "conf": MIB, "disk": 64 * MIB}
EXPORTED = ("lockspace", "leases", "metadata", "conf")
LOCKSPACE = "hosted-engine"
RESOURCES = ("engine", "whiteboard", "conf")  # one alignment apart, in this order


def folder(lab):
    return f"{lab.folder}/storage"


def device(lab, name):
    """The loop device that stands for the shared storage's own disk."""
    return os.readlink(f"{folder(lab)}/device/{name}")


def sanlock_direct(lab, *arguments, timeout=20, check=True):
    run = f"{lab.folder}/sanlock"
    os.makedirs(run, exist_ok=True)
    return call("sanlock", "direct", *arguments, timeout=timeout, check=check,
                env={"SANLOCK_RUN_DIR": run, "SANLOCK_PRIVILEGED": "0"})


def make_loop(lab, name):
    return call("losetup", "--find", "--show", f"{folder(lab)}/{name}").strip()


def make_domain(lab, io_timeout):
    """The files, each but the disk behind a loop device with sectors of 512 bytes: a file of a tmpfs has 4096 for
    qemu-storage-daemon, which would write back its neighbours' sectors too and so undo other hosts' renewals."""
    os.makedirs(f"{folder(lab)}/device")
    for name, size in FILES.items():
        with open(f"{folder(lab)}/{name}", "wb") as file:
            file.truncate(size)
            if name == "metadata":  # the block after those of the hosts says whose whiteboard it is
                file.seek(2001 * 4096)
                file.write(f"domain={lab.domain_uuid}\nlockspace={LOCKSPACE}\n".encode())
        if name in EXPORTED:
            os.symlink(make_loop(lab, name), f"{folder(lab)}/device/{name}")
    sanlock_direct(lab, "init", "-s", f"{LOCKSPACE}:0:{device(lab, 'lockspace')}:0", "-o", str(io_timeout))
    for index, resource in enumerate(RESOURCES):
        sanlock_direct(lab, "init", "-r", f"{LOCKSPACE}:{resource}:{device(lab, 'leases')}:{index * ALIGNMENT}")


def attach(host):
    """Starts the host's storage daemon and its loop device; returns when all exports are there."""
    exports = f"{host.folder}/storage"
    os.makedirs(exports, exist_ok=True)
    command = ["qemu-storage-daemon"]
    for name in EXPORTED:
        open(f"{exports}/{name}", "a").close()
        command += ["--blockdev", f"driver=host_device,node-name={name},filename={device(host.lab, name)},"
                    "cache.direct=on,locking=off", "--export", f"type=fuse,id={name},node-name={name},mountpoint={exports}/{name},"
                    "writable=on,allow-other=on"]
    with open(f"{host.folder}/storage.log", "w") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True, env=CLEAN_ENVIRONMENT, cwd="/")
    write_pid(f"{host.folder}/storage.pid", daemon.pid)

    def exported():
        if daemon.poll() is not None:
            raise LabError(f"storage daemon of host {host.key}: {read(f'{host.folder}/storage.log').strip()}")
        mounts = read("/proc/self/mountinfo")
        return all(f" {exports}/{name} " in mounts for name in EXPORTED)
    until(exported, 15, f"storage exports of host {host.key}")
    for name in EXPORTED:
        shutil.chown(f"{exports}/{name}", "root", "sanlock")
        os.chmod(f"{exports}/{name}", 0o660)
    with open(f"{host.folder}/loop", "w") as file:
        file.write(make_loop(host.lab, "disk"))


def hang(host):
    signal_daemon(host, signal.SIGSTOP, "T")


def resume(host):
    signal_daemon(host, signal.SIGCONT, "SR")


def signal_daemon(host, number, states):
    pid = read_pid(f"{host.folder}/storage.pid")
    if pid is None:
        raise LabError(f"host {host.key} has no storage daemon")
    os.kill(pid, number)

    def arrived():
        stat = read(f"/proc/{pid}/stat")
        return stat is None or stat.rsplit(")", 1)[1].split()[0] in states + "D"
    until(arrived, 5, f"signal to the storage daemon of host {host.key}")


def state(host):
    pid = read_pid(f"{host.folder}/storage.pid")
    stat = read(f"/proc/{pid}/stat") if pid else None
    if stat is None:
        return "gone"
    return "hang" if stat.rsplit(")", 1)[1].split()[0] in "Tt" else "ok"


def lease(lab):
    """Owner of the engine lease as it stands on disk: {"owner": id or None, ..}; None when unreadable."""
    text = sanlock_direct(lab, "read_leader", "-r", f"{LOCKSPACE}:engine:{device(lab, 'leases')}:0",
                          timeout=5, check=False)
    words = dict(line.split(None, 1) for line in (text or "").splitlines() if len(line.split(None, 1)) == 2)
    try:
        held = int(words["timestamp"]) != 0
        return {"owner": int(words["owner_id"]) if held else None,
                "last_owner": int(words["owner_id"]), "generation": int(words["owner_generation"]),
                "version": int(words["lver"])}
    except (KeyError, ValueError):
        return None


def remove_all(lab):
    """Ends storage daemons and loop devices of a lab, also of one without lab.json."""
    for file in glob.glob(f"{lab.folder}/hosts/*/storage.pid"):
        pid = read_pid(file)
        if pid:
            os.kill(pid, signal.SIGKILL)


def remove_loops(lab):
    deadline = monotonic() + 10
    while True:
        listed = json.loads(call("losetup", "--list", "--json", "-O", "NAME,BACK-FILE") or "{}")
        mine = [entry["name"] for entry in listed.get("loopdevices", [])
                if (entry["back-file"] or "").startswith(f"{lab.folder}/")]
        if not mine:
            return
        if monotonic() > deadline:
            raise LabError(f"loop devices stay in use: {' '.join(mine)}")
        for name in mine:
            call("losetup", "-d", name, check=False)
