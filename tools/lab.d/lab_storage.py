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
import shutil
import signal
import stat

import lab_export
import lab_network
from lab_place import STORAGE_ADDRESS, LabError, call, monotonic, read_pid
from storage_servers import GlusterServer, IscsiServer, NfsProxy, NfsServer, Server

MIB = 1 << 20
FILES = ("lockspace", "leases", "metadata", "conf", "disk")
SPARE_MIB = 24
DEPLOYED_DISK = 1024 * MIB  # the VM's, where a deployment makes it
OWNER = 36  # of the files and their folder, by number: their names' numbers may differ between hosts
EXPORTED = ("lockspace", "leases", "metadata", "conf")
LOCKSPACE = "hosted-engine"
KINDS = ("path", "block", "nfs3", "nfs4", "iscsi", "gluster")
LOCAL = ("path", "block")  # without a server
ALIGNMENTS = {512: MIB, 4096: 8 * MIB}  # sanlock's, by the size of the sectors
SECTORS = tuple(ALIGNMENTS)
RESOURCES = ("engine", "whiteboard", "conf")  # one alignment apart, in this order


def folder(lab):
    return f"{lab.folder}/storage"


def spare(lab):
    """A small file system beside the domain, for storage that is not what it should be; NFS serves `closed` in it for
    reading alone."""
    return f"{folder(lab)}/spare"


def device(lab, name):
    """Where a part is on the storage itself, behind all hosts: a loop device, or the server's file."""
    return os.readlink(f"{folder(lab)}/device/{name}")


def sanlock_direct(lab, *arguments, timeout=20, check=True):
    run = f"{lab.folder}/sanlock"
    os.makedirs(run, exist_ok=True)
    return call("sanlock", "direct", *arguments, timeout=timeout, check=check,
                env={"SANLOCK_RUN_DIR": run, "SANLOCK_PRIVILEGED": "0"})


def make_loop(file, sector, *options):
    return call("losetup", "--find", "--show", "--sector-size", str(sector), *options, file).strip()


def sizes(settings):
    """{part: bytes}, as the project lays a domain out."""
    alignment = ALIGNMENTS[settings["sector"]]
    return {"lockspace": alignment, "leases": len(RESOURCES) * alignment, "metadata": 2002 * 4096, "conf": 4 * MIB,
            "disk": 64 * MIB}


def commands(kind):
    """What has to be installed for a kind's server."""
    return {"iscsi": IscsiServer, "gluster": GlusterServer, "nfs3": NfsServer, "nfs4": NfsServer}.get(kind, Server).commands


def server(lab, settings):
    """The server of the lab's kind of storage; None where there is none."""
    kind, place = settings["storage"], (f"{folder(lab)}/server", lab_network.storage_space(lab), STORAGE_ADDRESS)
    if kind == "iscsi":
        names = ["lun"] if settings.get("undeployed") else FILES
        return IscsiServer(*place, [f"{folder(lab)}/{name}" for name in names], settings["sector"])
    if kind in ("nfs3", "nfs4"):
        top = shared(lab) if settings.get("undeployed") else folder(lab)
        return NfsServer(*place, top, kind[3:], f"{spare(lab)}/closed", (spare(lab),))
    if kind == "gluster":
        return GlusterServer(*place, folder(lab))
    return None


def proxy(host, settings):
    """What a host of nfs4 asks in the server's place: qemu-storage-daemon speaks version 3 alone."""
    if settings["storage"] != "nfs4":
        return None
    return NfsProxy(f"{host.folder}/proxy", host.full_name, server(host.lab, settings))


def names(settings):
    """The parts that a host reaches by its own way."""
    return EXPORTED if settings["storage"] == "path" else tuple(FILES)


def parts(lab, settings):
    """{part: where it is for who reaches it by the host's own way}."""
    if settings["storage"] in LOCAL:
        return {name: device(lab, name) for name in names(settings)}
    if settings["storage"] == "gluster":
        return {name: f"/{name}" for name in FILES}
    if settings["storage"] == "iscsi":
        return {name: number for number, name in enumerate(FILES, 1)}
    return {name: f"{folder(lab)}/{name}" for name in FILES}


def path_in_host(settings, name):
    as_device = settings["storage"] == "block" or (settings["storage"] == "path" and name == "disk")
    return f"/dev/lab-{name}" if as_device else f"/srv/storage/{name}"


def shared(lab):
    """The empty folder that hosts of an undeployed lab get, or its server exports, in the place of a domain."""
    return f"{folder(lab)}/shared"


def binds(host, settings):
    """What a host gets bound into it, {its path there: here}."""
    devices = {f"/dev/{name}": f"{host.folder}/device/{name}" for name in os.listdir(f"{host.folder}/device")}
    if not settings.get("undeployed"):
        return {"/srv/storage": f"{host.folder}/storage", **devices}
    return {"/srv/shared": shared(host.lab)} if settings["storage"] == "path" else devices


def add_device(host, name, file, sector, *options):
    """A loop device of the host's own on the file; its node lies in the host's folder, so that nobody else's changes."""
    number = os.stat(make_loop(file, sector, *options)).st_rdev
    node = f"{host.folder}/device/lab-{name}"
    os.mknod(node, 0o600 | stat.S_IFBLK, number)
    os.chmod(node, 0o660)
    shutil.chown(node, "root", "sanlock")


def fill(lab, settings, place):
    """The files of a new domain in the folder `place`. Without a server each is behind a loop device, since a file
    of a tmpfs has sectors of 4096 bytes for qemu-storage-daemon, which would write back its neighbours' sectors too
    and so undo other hosts' renewals."""
    os.chown(place, OWNER, OWNER)
    for name, size in sizes(settings).items():
        with open(f"{place}/{name}", "wb") as file:
            file.truncate(size)
            os.fchown(file.fileno(), OWNER, OWNER)
            os.fchmod(file.fileno(), 0o666)  # who is who on a host, no server knows
            if name == "metadata":  # the block after those of the hosts says whose whiteboard it is
                file.seek(2001 * 4096)
                file.write(f"domain={lab.domain_uuid}\nlockspace={LOCKSPACE}\n".encode())
        if settings["storage"] in LOCAL and name in names(settings):
            os.symlink(make_loop(f"{place}/{name}", settings["sector"]), f"{folder(lab)}/device/{name}")
        else:
            os.symlink(f"{place}/{name}", f"{folder(lab)}/device/{name}")
    alignment = ALIGNMENTS[settings["sector"]]
    shape = ["-Z", str(settings["sector"]), "-A", f"{alignment // MIB}M"]
    sanlock_direct(lab, "init", "-s", f"{LOCKSPACE}:0:{device(lab, 'lockspace')}:0", "-o", str(settings["io_timeout"]),
                   *shape)
    for index, resource in enumerate(RESOURCES):
        sanlock_direct(lab, "init", "-r", f"{LOCKSPACE}:{resource}:{device(lab, 'leases')}:{index * alignment}", *shape)


def own(place):
    """A folder that hosts lay a domain out in belongs to the domain's owner."""
    os.chown(place, OWNER, OWNER)
    os.chmod(place, 0o775)


def lun_areas(settings):
    """{part: (offset, bytes)} of an undeployed lab's one LUN: one after the other, each from a multiple of the alignment on."""
    alignment = offset = ALIGNMENTS[settings["sector"]]
    areas = {}
    for name, size in sizes(settings).items():
        areas[name] = (offset, size if name != "disk" else DEPLOYED_DISK)
        offset += -(-size // alignment) * alignment
    return areas


def make_empty(lab, settings):
    """What hosts of an undeployed lab share, and where the parts will be that a deployment makes."""
    if settings["storage"] in ("iscsi", "block"):
        lun = f"{folder(lab)}/lun"
        with open(lun, "wb") as file:
            file.truncate(DEPLOYED_DISK + 256 * MIB)
        where = {name: make_loop(lun, settings["sector"], "--offset", str(offset), "--sizelimit", str(size))
                 for name, (offset, size) in lun_areas(settings).items()}
    elif settings["storage"] == "gluster":
        where = {name: f"{server(lab, settings).bricks[0]}/{name}" for name in FILES}
    else:
        os.mkdir(shared(lab))
        own(shared(lab))
        where = {name: f"{shared(lab)}/{name}" for name in FILES}
    for name in FILES:
        for link in (f"{folder(lab)}/device/{name}", f"{folder(lab)}/{name}"):
            os.symlink(where[name], link)


def make_domain(lab, settings):
    """The files, and the server before or after them."""
    os.makedirs(f"{folder(lab)}/device")
    if settings["storage"] not in LOCAL:
        lab_network.make_storage_switch(lab)
    os.mkdir(spare(lab))
    call("mount", "-t", "tmpfs", "-o", f"size={SPARE_MIB}m", "spare", spare(lab))
    os.mkdir(f"{spare(lab)}/closed")
    if settings.get("undeployed"):
        make_empty(lab, settings)
    elif settings["storage"] != "gluster":
        fill(lab, settings, folder(lab))
    if settings["storage"] not in LOCAL:
        server(lab, settings).start()
    if settings["storage"] == "gluster":
        gluster = server(lab, settings)
        with gluster.mounted(f"{folder(lab)}/mount") as place:
            own(place) if settings.get("undeployed") else fill(lab, settings, place)
        if settings.get("undeployed"):
            return
        for name in FILES:  # from now on a brick's files are looked at, which waits for no server
            os.unlink(f"{folder(lab)}/device/{name}")
            for link in (f"{folder(lab)}/device/{name}", f"{folder(lab)}/{name}"):
                os.symlink(f"{gluster.bricks[0]}/{name}", link)


def attach(host, settings):
    """Starts the host's own way to the storage; returns when all parts are there."""
    os.makedirs(f"{host.folder}/device")
    if settings["storage"] not in LOCAL:
        lab_network.connect_storage(host)
    if settings.get("undeployed"):
        renew_proxy(host, settings)
        if settings["storage"] == "block":
            offset, size = lun_areas(settings)["disk"]
            lun = f"{folder(host.lab)}/lun"
            add_device(host, "lun", lun, settings["sector"])
            add_device(host, "disk", lun, settings["sector"], "--offset", str(offset), "--sizelimit", str(size))
        return
    export(host, settings, {})
    if settings["storage"] == "path":
        add_device(host, "disk", f"{folder(host.lab)}/disk", settings["sector"])
    if settings["storage"] == "block":
        for name in FILES:
            # Direct: an I/O of the host is one of the daemon's, and not one for each page.
            add_device(host, name, f"{host.folder}/storage/{name}", settings["sector"], "--direct-io=on")


def export(host, settings, instead):
    if proxy(host, settings):
        proxy(host, settings).start()
    lab_export.start(host, proxy(host, settings) or server(host.lab, settings), parts(host.lab, settings) | instead)


def begin_anew(host, settings, instead={}):
    """What an operator does whose client of the storage does not come back: another one, at the same paths; or, by
    {part: path}, what stands there instead of a part."""
    if settings["storage"] in LOCAL:
        raise LabError(f"storage {settings['storage']} is open by devices of the host, which can't begin anew")
    if proxy(host, settings):
        proxy(host, settings).stop()
    lab_export.stop(host, parts(host.lab, settings))
    export(host, settings, instead)


def set_fault(host, settings, fault):
    dropped = state(host) == "drop"
    lab_export.set_fault(host, settings["storage"], server(host.lab, settings), parts(host.lab, settings), fault)
    if dropped:
        renew_proxy(host, settings)


def renew_proxy(host, settings):
    """Begins a client of NFS 4 anew: it does not get over the loss of what the server knew of it."""
    it = proxy(host, settings)
    if it is not None:
        it.stop()
        it.start()


def state(host):
    return lab_export.state(host)


def switch_server(lab, settings, action):
    """`stop` or `start` of the storage's server, for all hosts at once."""
    it = server(lab, settings)
    if it is None:
        raise LabError(f"storage {settings['storage']} has no server")
    if action == "stop":
        for host in lab.hosts():
            if proxy(host, settings):
                proxy(host, settings).stop()
        it.stop()
    elif not it.runs():
        it.start()
        for host in lab.hosts():
            renew_proxy(host, settings)


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
    pattern = ("hosts/*/storage.pid", "hosts/*/proxy/*.pid", "storage/server/*.pid")
    for file in [path for part in pattern for path in glob.glob(f"{lab.folder}/{part}")]:
        pid = read_pid(file)
        if pid:
            kill(pid)
    # What a server began itself, such as gluster's bricks: nothing else is in its namespace.
    for pid in (call("ip", "netns", "pids", lab_network.storage_space(lab), check=False) or "").split():
        kill(int(pid))


def kill(pid):
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
