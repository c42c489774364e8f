# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage of one host that is not what it should be, of each kind: made on the kind's own server, or disk, beside the domain.

Knows how a fault is made and what the host's configuration calls it. Decides nothing about what comes of it: test_storage
does. Leaves the domain and the other hosts' way to it alone.
"""
import os
import subprocess

import lab_storage
from lab_place import STORAGE_ADDRESS, call
from storage_servers import CHAP_PASSWORD, CHAP_USER, IQN

SIZE = 2002 * 4096  # of a whiteboard
LUN = 11
DEVICE = "/dev/lab-bad"
PLACE = "/run/bad"  # in a host
# Made in the folder of the fault; the whiteboard's last block says whose it is.
BOARD = f"truncate -s {SIZE} metadata; printf \"$whose\" | dd of=metadata bs=4096 seek=2001 conv=notrunc,sync status=none"
MAKE = {
    "missing": "true",
    "missing export": "true",
    "read-only": BOARD,
    "full": f"{BOARD}; dd if=/dev/zero of=rest bs=64k status=none 2>/dev/null || true",
    "cut short": "head -c 4096 /dev/zero >metadata",
    "of another cluster": f"whose='domain=ffffffff-0000-4000-8000-000000000000\\nlockspace=other\\n'; {BOARD}",
    "damaged whiteboard": f"head -c {SIZE} /dev/urandom | tr '\\000' x >metadata",
    "damaged lockspace": "head -c 1048576 /dev/urandom >lockspace",
}


class BadStorage:
    """A folder where the faults are made: on the machine, or in the host for who mounts it there. `faults`: those that
    the kind can have. `named` are lines of hosted-engine.conf besides the one that `make` returns."""
    faults, named, inside = tuple(MAKE), "", False

    def __init__(self, lab, host):
        self.lab, self.host, self.settings = lab, lab.lab.host(host), lab.lab.required_settings()
        self.server = lab_storage.server(lab.lab, self.settings)
        self.folder = PLACE if self.inside else lab_storage.spare(lab.lab)

    def shell(self, script):
        if self.inside:
            return self.lab.run(self.host.key, "sh", "-ec", script, timeout=60).stdout
        return subprocess.run(["sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60,
                              check=True).stdout

    def fill(self, fault, folder):
        """The files of a fault; the sum of the one that is wrong is kept."""
        whose = f"domain={self.lab.lab.domain_uuid}\\nlockspace={lab_storage.LOCKSPACE}\\n"
        self.shell(f"cd {folder}; whose='{whose}'; {MAKE[fault]}; for file in *; do [ ! -f $file ] || "
                   f"{{ chown {lab_storage.OWNER}:{lab_storage.OWNER} $file; chmod 660 $file; }}; done")
        self.file = f"{folder}/lockspace" if fault == "damaged lockspace" else f"{folder}/metadata"
        self.sum = self.sum_now()

    def sum_now(self):
        return self.shell(f"sha256sum {self.file} 2>&1 || true")

    def written(self):
        return self.sum_now() != self.sum

    def make(self, fault):
        """(key of hosted-engine.conf, its value), while the host's daemons do not run."""
        raise NotImplementedError

    def unmake(self):
        self.shell(f"find {self.folder} -type f -delete")


class BadPath(BadStorage):
    """A file system in the host."""
    inside, faults = True, tuple(fault for fault in MAKE if fault != "missing export")

    def mount(self, fault):
        self.shell(f"mkdir -p {PLACE}; mount -t tmpfs -o size=16m,mode=777 bad {PLACE}")

    def make(self, fault):
        self.mount(fault)
        self.fill(fault, PLACE)
        if fault == "read-only":
            self.shell(f"mount -o remount,ro {PLACE}")
        key = os.path.basename(self.file)
        return f"{key}_path", self.file

    def unmake(self):
        self.shell(f"umount {PLACE}")


class BadGluster(BadPath):
    """Another volume of the server, mounted in the host. The one that is missing is asked for by --connect-storage
    (test_connect)."""
    volume = "spare"

    def mount(self, fault):
        brick = f"{lab_storage.spare(self.lab.lab)}/brick"
        os.mkdir(brick)
        self.server.gluster("volume", "create", self.volume, f"{self.server.address}:{brick}", "force")
        self.server.gluster("volume", "start", self.volume)
        self.shell(f"mkdir -p {PLACE}; mount -t glusterfs -o direct-io-mode=enable storage:/{self.volume} {PLACE}; "
                   f"chmod 777 {PLACE}")

    def make(self, fault):
        named = super().make("missing" if fault == "read-only" else fault)
        if fault == "read-only":
            self.fill(fault, PLACE)
            self.shell(f"umount {PLACE}")
            self.server.gluster("volume", "set", self.volume, "features.read-only", "on")
            self.shell(f"mount -t glusterfs -o direct-io-mode=enable storage:/{self.volume} {PLACE}")
        return named

    def unmake(self):
        super().unmake()
        self.server.gluster("volume", "stop", self.volume, "force")
        self.server.gluster("volume", "delete", self.volume)
        call("rm", "-r", f"{lab_storage.spare(self.lab.lab)}/brick")


class BadDisk(BadStorage):
    """A disk of the host's own; a full one is thin, on a pool without room: one that has its room can't be full."""
    faults = BadPath.faults
    loop = None

    def make(self, fault):
        self.fill(fault, self.folder)
        if fault != "missing":
            options = ("--read-only",) if fault == "read-only" else ()
            self.loop = lab_storage.make_loop(self.file, self.settings["sector"], *options)
            number = os.stat(self.loop).st_rdev
            call("nsenter", "--target", str(self.host.pid1()), "--mount", "--", "sh", "-ec",
                 f"mknod {DEVICE} b {os.major(number)} {os.minor(number)}; chmod 660 {DEVICE}; "
                 f"chgrp sanlock {DEVICE}")
        return f"{os.path.basename(self.file)}_path", DEVICE

    def unmake(self):
        if self.loop:
            self.lab.run(self.host.key, "rm", DEVICE)
            call("losetup", "--detach", self.loop)
            self.loop = None
        super().unmake()


class BadServer(BadStorage):
    """The broker asks the server itself; sanlock sees a damaged lockspace in the place of the host's own."""

    def make(self, fault):
        closed = fault == "read-only"
        # The client of nfs4 is that of the domain's export.
        folder = lab_storage.folder(self.lab.lab) if fault == "damaged lockspace" else self.folder
        folder += "/closed" if closed else ""
        if fault == "damaged lockspace":
            folder += "/bad"
            os.mkdir(folder)
        self.fill(fault, folder)
        if fault == "damaged lockspace":
            lab_storage.begin_anew(self.host, self.settings, {"lockspace": self.reached(fault)})
            return "lockspace_path", lab_storage.path_in_host(self.settings, "lockspace")
        return "metadata_path", self.spec(fault)

    def unmake(self):
        if self.file.endswith("/lockspace"):
            lab_storage.begin_anew(self.host, self.settings)
            call("rm", "-r", os.path.dirname(self.file))
        super().unmake()


class BadExport(BadServer):
    def reached(self, fault):
        return self.file

    def spec(self, fault):
        path = "/none/metadata" if fault == "missing export" else self.file
        return f"nfs://{STORAGE_ADDRESS}{path}?version={self.settings['storage'][3:]}&uid={lab_storage.OWNER}" \
               f"&gid={lab_storage.OWNER}"


class BadTarget(BadServer):
    """LUNs of the target; a full one is thin, on a pool without room."""
    named = f"user={CHAP_USER}\npassword={CHAP_PASSWORD}\n"
    lun = False

    def reached(self, fault):
        self.server.add(LUN, self.file, fault == "read-only")
        self.lun = True
        return LUN

    def spec(self, fault):
        lun = self.reached(fault) if os.path.exists(self.file) else LUN
        return f"iscsi://{STORAGE_ADDRESS}/{IQN}:{'none' if fault == 'missing export' else 'storage'}/{lun}"

    def unmake(self):
        super().unmake()
        if self.lun:
            self.server.remove(LUN)
            self.lun = False


KINDS = {"path": BadPath, "block": BadDisk, "nfs3": BadExport, "nfs4": BadExport, "iscsi": BadTarget, "gluster": BadGluster}


def bad_storage(lab, host):
    return KINDS[lab.lab.required_settings()["storage"]](lab, host)
