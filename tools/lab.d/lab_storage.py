# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's storage domain, and where each host finds its parts.

Of every kind the bytes are in files of the lab: reached as they are (`path`), or by a real server in a network
namespace of its own. Every host sees them through its own way (lab_export), so that one host's storage can hang
while the others see nothing. With `path` the engine's disk is a loop device of the host's own, since a shared
file would meet QEMU's image lock before sanlock is asked. Called by up, clone, storage and down; starts no host.
"""
import contextlib
import glob
import json
import os
import signal

import lab_export
import lab_network
from lab_place import STORAGE_ADDRESS, LabError, call, monotonic, read, read_pid
from storage_servers import IscsiServer, NfsServer

MIB = 1 << 20
ALIGNMENT = MIB  # sanlock's for sectors of 512 bytes
FILES = {"lockspace": ALIGNMENT, "leases": 3 * ALIGNMENT, "metadata": 2002 * 4096, "conf": MIB, "disk": 64 * MIB}
EXPORTED = ("lockspace", "leases", "metadata", "conf")
LOCKSPACE = "hosted-engine"
KINDS = ("path", "iscsi", "nfs3")
SECTORS = (512, 4096)
RESOURCES = ("engine", "whiteboard", "conf")  # one alignment apart, in this order


def folder(lab):
    return f"{lab.folder}/storage"


def device(lab, name):
    """Where a part is on the storage itself, behind all hosts: a loop device, or the server's file."""
    return os.readlink(f"{folder(lab)}/device/{name}")


def sanlock_direct(lab, *arguments, timeout=20, check=True):
    run = f"{lab.folder}/sanlock"
    os.makedirs(run, exist_ok=True)
    return call("sanlock", "direct", *arguments, timeout=timeout, check=check,
                env={"SANLOCK_RUN_DIR": run, "SANLOCK_PRIVILEGED": "0"})


def make_loop(lab, name, sector):
    return call("losetup", "--find", "--show", "--sector-size", str(sector), f"{folder(lab)}/{name}").strip()


def server(lab, settings):
    """The server of the lab's kind of storage; None where there is none."""
    kind, place = settings["storage"], (f"{folder(lab)}/server", lab_network.storage_space(lab), STORAGE_ADDRESS)
    if kind == "iscsi":
        return IscsiServer(*place, [f"{folder(lab)}/{name}" for name in FILES], settings["sector"])
    if kind == "nfs3":
        return NfsServer(*place, folder(lab), "3")
    return None


def parts(lab, settings):
    """{part: where it is on the storage} of what a host reaches by its own way."""
    if settings["storage"] == "path":
        return {name: device(lab, name) for name in EXPORTED}
    return {name: f"{folder(lab)}/{name}" for name in FILES}


def path_in_host(settings, name):
    return "/dev/lab-disk" if name == "disk" and settings["storage"] == "path" else f"/srv/storage/{name}"


def binds(host):
    """What a host gets bound into it, {its path there: here}."""
    bound = {"/srv/storage": f"{host.folder}/storage"}
    if os.path.exists(f"{host.folder}/loop"):
        bound["/dev/lab-disk"] = read(f"{host.folder}/loop")
    return bound


def make_domain(lab, settings):
    """The files; with `path` each but the disk is behind a loop device, since a file of a tmpfs has sectors of
    4096 bytes for qemu-storage-daemon, which would write back its neighbours' sectors too and so undo other hosts'
    renewals. Then the server."""
    os.makedirs(f"{folder(lab)}/device")
    for name, size in FILES.items():
        with open(f"{folder(lab)}/{name}", "wb") as file:
            file.truncate(size)
            if name == "metadata":  # the block after those of the hosts says whose whiteboard it is
                file.seek(2001 * 4096)
                file.write(f"domain={lab.domain_uuid}\nlockspace={LOCKSPACE}\n".encode())
        if settings["storage"] == "path" and name in EXPORTED:
            os.symlink(make_loop(lab, name, settings["sector"]), f"{folder(lab)}/device/{name}")
        else:
            os.symlink(f"{folder(lab)}/{name}", f"{folder(lab)}/device/{name}")
    shape = ["-Z", str(settings["sector"]), "-A", "1M"] if settings["sector"] != 512 else []
    sanlock_direct(lab, "init", "-s", f"{LOCKSPACE}:0:{device(lab, 'lockspace')}:0", "-o", str(settings["io_timeout"]),
                   *shape)
    for index, resource in enumerate(RESOURCES):
        sanlock_direct(lab, "init", "-r", f"{LOCKSPACE}:{resource}:{device(lab, 'leases')}:{index * ALIGNMENT}", *shape)
    if settings["storage"] in lab_export.NETWORKED:
        lab_network.make_storage_switch(lab)
        server(lab, settings).start()


def attach(host, settings):
    """Starts the host's own way to the storage; returns when all parts are there."""
    lab = host.lab
    if settings["storage"] in lab_export.NETWORKED:
        lab_network.connect_storage(host)
    lab_export.start(host, server(lab, settings), parts(lab, settings))
    if settings["storage"] == "path":
        with open(f"{host.folder}/loop", "w") as file:
            file.write(make_loop(lab, "disk", settings["sector"]))


def set_fault(host, settings, fault):
    lab_export.set_fault(host, server(host.lab, settings), parts(host.lab, settings), fault)


def state(host):
    return lab_export.state(host)


def switch_server(lab, settings, action):
    """`stop` or `start` of the storage's server, for all hosts at once."""
    it = server(lab, settings)
    if it is None:
        raise LabError(f"storage {settings['storage']} has no server")
    if action == "stop":
        it.stop()
    elif not it.runs():
        it.start()


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
    """Ends storage daemons and servers of a lab, also of one without lab.json."""
    for file in glob.glob(f"{lab.folder}/hosts/*/storage.pid") + glob.glob(f"{folder(lab)}/server/*.pid"):
        pid = read_pid(file)
        if pid:
            with contextlib.suppress(ProcessLookupError):
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
