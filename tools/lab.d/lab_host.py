# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host of the lab: systemd-nspawn with a real systemd on an overlay of the machine's own root.

Makes, boots, cuts and forgets hosts. The overlay's upper layer is kept over a power cut, so that a boot is a
reboot of the same machine. Never writes into the machine's own root. Called by the commands of tools/lab.
"""
import contextlib
import glob
import os
import signal
import subprocess
import time

import lab_config
import lab_load
import lab_network
import lab_storage
from lab_place import CLEAN_ENVIRONMENT, LabError, call, cgroup_roots, monotonic, read, until, write_pid

NSPAWN = "/run/systemd/nspawn"
CAPABILITIES = "CAP_IPC_LOCK,CAP_NET_ADMIN"


def make(host, settings):
    """Everything of a host that outlives a power cut."""
    for name in ("upper", "work", "root"):
        os.makedirs(f"{host.folder}/{name}")
    layer = lab_config.write_layer(host, settings)
    lower = f"{layer}:{host.lab.tree}:/"
    call("mount", "-t", "overlay", host.full_name, "-o",
         f"lowerdir={lower},upperdir={host.folder}/upper,workdir={host.folder}/work", host.root)
    lab_load.make_files(host)
    lab_network.make_host(host)
    lab_storage.attach(host, settings)


def enter_groups(host):
    for root in cgroup_roots():
        with open(f"{root}/{host.full_name}/cgroup.procs", "w") as file:
            file.write("0")


def boot(host, settings):
    """Starts the host and returns once its PID 1 is there (0.2 s)."""
    if host.key in host.lab.running_hosts():
        raise LabError(f"host {host.key} runs already")
    if not os.path.ismount(host.root):
        raise LabError(f"host {host.key} was never made")
    lab_network.plug(host)
    for root in cgroup_roots():
        os.makedirs(f"{root}/{host.full_name}", exist_ok=True)
    binds = [*[f"--bind={here}:{there}" for there, here in lab_storage.binds(host, settings).items()],
             f"--bind-ro={host.lab.folder}/guest:/srv/guest", "--bind=/dev/net/tun", "--bind=/dev/fuse",
             # What goes below /proc is bound after the change of root, and named as seen from there.
             f"--bind-ro={host.folder}/load:/srv/load", "--bind-ro=/srv/load/stat:/proc/stat",
             "--bind-ro=/srv/load/meminfo:/proc/meminfo"]
    if settings["accel"] == "kvm":
        binds.append("--bind=/dev/kvm")
    with open(f"{host.folder}/console.log", "a") as console:
        nspawn = subprocess.Popen(
            # Entered before too: systemd-nspawn mounts the host's /sys from where it was started.
            ["nsenter", f"--net=/run/netns/{host.full_name}", "--", "systemd-nspawn", "-q",
             "--register=no", "--keep-unit", f"--directory={host.root}", f"--network-namespace-path=/run/netns/{host.full_name}",
             f"--machine={host.lab.name}-h{host.key}", f"--hostname={host.hostname}", "--boot", "--console=pipe", "--link-journal=no", "--timezone=off",
             "--resolv-conf=off", f"--capability={CAPABILITIES}", *binds],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, cwd="/",
            env=dict(CLEAN_ENVIRONMENT, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"),
            preexec_fn=lambda: enter_groups(host))

    def first_process():
        if nspawn.poll() is not None:
            raise LabError(f"host {host.key} did not start: {(read(f'{host.folder}/console.log') or '').strip()[-300:]}")
        group = f"{cgroup_roots()[0]}/{host.full_name}/payload/init.scope/cgroup.procs"
        pids = (read(group) or "").split()
        return int(pids[0]) if pids else None
    write_pid(f"{host.folder}/pid1", until(first_process, 20, f"PID 1 of host {host.key}"))


def wait_ready(host, seconds=40):
    """Until the host's systemd has started what it is to start: libvirtd answers and sanlock's socket is there."""
    for unit, question in (("libvirtd", ("virsh", "-q", "list")), ("sanlock", ("sanlock", "client", "status"))):
        until(lambda: host.ask(*question) is not None or failed(host, unit), seconds, f"{unit} on host {host.key}")


def failed(host, unit):
    if host.ask("systemctl", "is-failed", "--quiet", f"{unit}.service") is None:
        return False
    words = host.ask("journalctl", "-q", "--no-pager", "-o", "cat", "-n", "5", "-u", unit) or ""
    raise LabError(f"{unit} failed on host {host.key}: {' | '.join(words.splitlines())}")


def power_cut(host):
    """Takes the host's cable and then its PID 1; the kernel ends all its processes with it."""
    pid1 = host.pid1()
    if pid1 is None:
        raise LabError(f"host {host.key} is off")
    lab_network.power_off(host)
    os.kill(pid1, signal.SIGKILL)
    # Processes in the hands of a hung storage daemon stay until it answers again: they are not waited for.
    if lab_storage.state(host) in ("ok", "error"):
        until(lambda: host.key not in host.lab.running_hosts(), 20, f"end of host {host.key}")


def end_all(lab):
    """SIGKILL for all processes of all hosts, until none is left."""
    deadline = monotonic() + 20
    while lab.running_hosts():
        for root in cgroup_roots():
            for entry in os.listdir(root):
                if entry.startswith(f"ovha.{lab.name}.h"):
                    for pid in lab.processes(f"{root}/{entry}"):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
        if monotonic() > deadline:
            raise LabError(f"processes of hosts {' '.join(lab.running_hosts())} survive SIGKILL")
        time.sleep(0.1)


def remove_traces(lab):
    """What systemd-nspawn keeps of containers that were killed; while the roots are still mounted."""
    for root in glob.glob(f"{lab.folder}/hosts/*/root"):
        info, key = os.stat(root), root.split("/")[-2]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{NSPAWN}/locks/inode-{info.st_dev}:{info.st_ino}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{NSPAWN}/propagate/{lab.name}-h{key}")


def remove_groups(lab):
    for root in cgroup_roots():
        for entry in os.listdir(root):
            if entry.startswith(f"ovha.{lab.name}.h"):
                for folder, _, _ in os.walk(f"{root}/{entry}", topdown=False):
                    until(lambda path=folder: remove_group(path), 10, f"removal of {folder}")


def remove_group(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
