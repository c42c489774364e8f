# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host's own way to the storage: one qemu-storage-daemon outside of it, whose FUSE exports are the host's files.

Knows how each kind of storage is reached, and makes one host's way hang, slow, fail or lose its network while
the others see nothing. Each part is exported through a throttle node, below which a node that fails is put for
errors; so a fault reaches what is under way. Makes no storage: lab_storage does, and calls this.
"""
import json
import os
import shutil
import signal
import socket
import subprocess

import lab_network
from lab_place import CLEAN_ENVIRONMENT, LabError, call, read, read_pid, until, write, write_pid
from storage_servers import CHAP_PASSWORD, CHAP_USER, IQN

FAULTS = ("hang", "slow", "error", "drop")
SLOW_IOPS = 1  # of each part: an I/O waits up to a second for its turn
SPLIT = {"block": {"lockspace": 3, "leases": 3, "disk": 3}}  # a loop device makes so many of a large one
EIO = 5


def blockdev(host, server, path):
    """The lowest node of a part: options of its driver as --blockdev takes them; `path` its file, device or LUN."""
    if server is None:
        return f"driver=host_device,filename={path},locking=off"
    if server.kind == "iscsi":
        return (f"driver=iscsi,transport=tcp,portal={server.address}:{server.port},target={server.target},lun={path},"
                f"user={CHAP_USER},password-secret=chap,initiator-name={IQN}:host{host.number}")
    if server.kind == "gluster":
        return (f"driver=gluster,server.0.type=inet,server.0.host={server.address},server.0.port={server.port},"
                f"volume={server.volume},path={path}")
    return f"driver=nfs,server.type=inet,server.host={server.address},path={path},user=0,group=0"


def start(host, server, parts):
    """Starts the daemon for {part: its path on the storage}; returns when all exports are there."""
    exports = f"{host.folder}/storage"
    os.makedirs(exports, exist_ok=True)
    command = ["nsenter", f"--net=/run/netns/{host.full_name}", "--"] if server else []
    command += ["qemu-storage-daemon", "--chardev", f"socket,id=control,path={host.folder}/storage.qmp,server=on,wait=off",
                "--monitor", "chardev=control", "--object", f"secret,id=chap,data={CHAP_PASSWORD}"]
    for name, path in parts.items():
        open(f"{exports}/{name}", "a").close()
        command += ["--object", f"throttle-group,id=pace-{name}",
                    "--blockdev", f"node-name=way-{name},cache.direct=on," + blockdev(host, server, path),
                    "--blockdev", f"driver=throttle,node-name={name},throttle-group=pace-{name},file=way-{name},"
                    "cache.direct=on", "--export", f"type=fuse,id={name},node-name={name},mountpoint={exports}/{name},"
                    "writable=on,allow-other=on"]
    # As ovirt-ha-storage-daemon does: without it large writes may end mixed up. A lab without the project has none.
    module = f"{host.lab.tree}/usr/libexec/ovirt-ha/ovirt-ha-fuse-copy.so"
    preload = {"LD_PRELOAD": module} if os.path.exists(module) else {}
    with open(f"{host.folder}/storage.log", "w") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True, env=CLEAN_ENVIRONMENT | preload, cwd="/")
    write_pid(f"{host.folder}/storage.pid", daemon.pid)

    def exported():
        if daemon.poll() is not None:
            raise LabError(f"storage daemon of host {host.key}: {read(f'{host.folder}/storage.log').strip()}")
        mounts = read("/proc/self/mountinfo")
        return all(f" {exports}/{name} " in mounts for name in parts)
    until(exported, 15, f"storage exports of host {host.key}")
    for name in parts:
        shutil.chown(f"{exports}/{name}", "root", "sanlock")
        os.chmod(f"{exports}/{name}", 0o660)


def stop(host, parts):
    """Ends the daemon; who has a file open gets errors from then on."""
    pid = daemon_pid(host)
    os.kill(pid, signal.SIGKILL)
    until(lambda: process_state(read_pid(f"{host.folder}/storage.pid")) is None, 15, f"end of the storage daemon {pid}")
    for name in parts:
        call("umount", "--lazy", f"{host.folder}/storage/{name}", check=False)
    write(f"{host.folder}/storage.fault", "ok")


def ask(host, *commands):
    """Sends QMP commands, (name, arguments) each, and checks that each is answered well."""
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(10)
        try:
            port.connect(f"{host.folder}/storage.qmp")
            with port.makefile("rw") as stream:
                stream.readline()  # the greeting
                for name, arguments in (("qmp_capabilities", {}), *commands):
                    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                    stream.flush()
                    answer = {"event": None}
                    while "event" in answer:
                        answer = json.loads(stream.readline() or '{"error": {"desc": "it ended"}}')
                    if "error" in answer:
                        raise LabError(f"storage daemon of host {host.key}: {name}: {answer['error']['desc']}")
        except OSError as error:
            raise LabError(f"storage daemon of host {host.key}: {error}") from None


def daemon_pid(host):
    pid = read_pid(f"{host.folder}/storage.pid")
    if pid is None:
        raise LabError(f"host {host.key} has no storage daemon")
    return pid


def process_state(pid):
    stat = read(f"/proc/{pid}/stat") if pid else None
    return stat.rsplit(")", 1)[1].split()[0] if stat else None


def signal_daemon(host, number, states):
    pid = daemon_pid(host)
    os.kill(pid, number)
    until(lambda: (process_state(pid) or "D") in states + "D", 5, f"signal to the storage daemon of host {host.key}")


def pace(host, iops):
    """{part: I/O per second, 0: as many as there are}"""
    ask(host, *[("qom-set", {"path": f"/objects/pace-{name}", "property": "limits", "value": {"iops-total": number}})
                for name, number in iops.items()])


def lead(host, name, file):
    """Puts another node below a part's throttle node."""
    return ("blockdev-reopen", {"options": [{"driver": "throttle", "node-name": name, "throttle-group": f"pace-{name}",
                                             "file": file, "cache": {"direct": True}}]})


def break_parts(host, parts):
    # Not a flush: putting the node below away again begins with one.
    rules = [{"event": "none", "errno": EIO, "iotype": kind} for kind in ("read", "write", "write-zeroes", "discard")]
    for name in parts:
        ask(host, ("blockdev-add", {"driver": "blkdebug", "node-name": f"broken-{name}", "image": f"way-{name}",
                                    "cache": {"direct": True}, "inject-error": rules}),
            lead(host, name, f"broken-{name}"))


def mend_parts(host, parts):
    for name in parts:
        ask(host, lead(host, name, f"way-{name}"), ("blockdev-del", {"node-name": f"broken-{name}"}))


def clear(host, parts):
    fault = state(host)
    if fault == "hang":
        signal_daemon(host, signal.SIGCONT, "SR")
    elif fault == "slow":
        pace(host, {name: 0 for name in parts})
    elif fault == "error":
        mend_parts(host, parts)
    elif fault == "drop":
        lab_network.plug_storage(host)
    write(f"{host.folder}/storage.fault", "ok")


def set_fault(host, kind, server, parts, fault):
    """One of FAULTS instead of what was before, or `ok`."""
    daemon_pid(host)
    if fault == "drop" and server is None:
        raise LabError("this kind of storage has no network that could drop: hang, slow or error")
    if fault == state(host):
        return
    clear(host, parts)
    if fault == "hang":
        signal_daemon(host, signal.SIGSTOP, "T")
    elif fault == "slow":
        pace(host, {name: SLOW_IOPS * SPLIT.get(kind, {}).get(name, 1) for name in parts})
    elif fault == "error":
        break_parts(host, parts)
    elif fault == "drop":
        lab_network.unplug_storage(host)
    write(f"{host.folder}/storage.fault", fault)


def state(host):
    """`gone`, one of FAULTS, or `ok`."""
    process = process_state(read_pid(f"{host.folder}/storage.pid"))
    if process is None:
        return "gone"
    if process in "Tt":
        return "hang"
    fault = (read(f"{host.folder}/storage.fault") or "ok").strip()
    return "ok" if fault == "hang" else fault
