# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine VM seen and handled from outside of all hosts: its QEMU processes and the guest's command port.

Finds QEMU by the engine's uuid in /proc of the machine and by cgroup, so nothing inside a host can hide or
invent one. Asks libvirt nothing. Called by vm, status, wait and the witness.
"""
import os
import signal
import socket

import lab_storage
from lab_place import COMMAND_SOCKET, LabError, host_of_process, monotonic, read, until

GUEST_COMMANDS = ("poweroff", "crash", "panic", "engine-stop", "engine-start", "ping")
ANSWER_SECONDS = 20  # a guest under TCG on a busy machine


def is_engine(pid, vmid):
    """Whether the process is a QEMU of the uuid. A zombie has an empty command line and is none."""
    return b"qemu-system" in (line := command_line(pid)) and b"\0-uuid\0" + vmid.encode() + b"\0" in line


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def processes(lab):
    """{pid: host key} of the engine's QEMU processes in this lab; paused ones too."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (read(f"/proc/{entry}/comm") or "").startswith("qemu-system"):
            if is_engine(entry, lab.vmid):
                key = host_of_process(entry, lab.name)
                if key:
                    found[int(entry)] = key
    return found


def running_process(lab):
    """(pid, host key) of the VM. Of several the one on the lease's owner: others wait for it, paused."""
    found = list(processes(lab).items())
    if len(found) > 1:
        owner = (lab_storage.lease(lab) or {}).get("owner")
        found = [(pid, key) for pid, key in found if key == str(owner)]
        if len(found) != 1:
            raise LabError(f"QEMU of the engine on several hosts, and the lease's owner is {owner}")
    if not found:
        raise LabError("the engine VM runs nowhere")
    return found[0]


def kill(lab):
    """SIGKILL of QEMU; returns (host key, seconds until it was gone)."""
    pid, key = running_process(lab)
    handle = os.pidfd_open(pid)
    try:
        if not is_engine(pid, lab.vmid):
            raise LabError("the engine VM ended by itself just now")
        begin = monotonic()
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        until(lambda: not is_engine(pid, lab.vmid), 60, f"end of QEMU {pid} on host {key}")
        return key, monotonic() - begin
    finally:
        os.close(handle)


def tell_guest(lab, command):
    """Sends a command to the guest and waits for its `ok`: a fault that did not fire is an error."""
    _, key = running_process(lab)
    pid1 = lab.host(key).pid1()
    deadline = monotonic() + ANSWER_SECONDS
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(ANSWER_SECONDS)
        try:
            port.connect(f"/proc/{pid1}/root{COMMAND_SOCKET}")
            port.sendall(command.encode() + b"\n")
            answer = b""
            while f"ok {command}\n".encode() not in answer.replace(b"\r", b""):
                if monotonic() > deadline or b"unknown " in answer:
                    raise LabError(f"the guest on host {key} answers {command!r} with {answer!r}")
                chunk = port.recv(256)
                if not chunk:
                    raise LabError(f"the guest on host {key} ended before it answered {command!r}")
                answer += chunk
        except OSError as error:
            raise LabError(f"guest on host {key}: {error}") from None
    return key
