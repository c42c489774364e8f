# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers of shared storage, each in a network namespace: an iSCSI target by tgt, NFS by ganesha, Gluster.

A server is known by its folder (below which it keeps pid files, logs and sockets), its namespace and its
address there; so another process may stop and start what this one began. Decides nothing about what is on
the storage: files are made by the caller, who also makes the namespace. Called by lab_storage.
"""
import contextlib
import os
import shutil
import signal
import subprocess

from lab_place import CLEAN_ENVIRONMENT, LabError, call, read, read_pid, until, write, write_pid

START_SECONDS = 15
IQN = "iqn.2026-11.lab"
CHAP_USER, CHAP_PASSWORD = "labuser", "labsecret1234"
GANESHA_PLUGINS = "/usr/lib/x86_64-linux-gnu/ganesha"
GANESHA = '''NFS_CORE_PARAM {{
    Protocols = {versions};
    Bind_addr = {address};
    NFS_Port = 2049;
    MNT_Port = 20048;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    Plugins_Dir = {plugins};
    Clustered = false;
    allow_set_io_flusher_fail = true;
}}
NFSV4 {{
    Graceless = true;
    Grace_Period = 5;
    Lease_Lifetime = 10;
    Minor_Versions = 0,1,2;
    RecoveryRoot = {folder}/recovery;
    Only_Numeric_Owners = true;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
LOG {{ Default_Log_Level = EVENT; }}
'''
GANESHA_EXPORT = '''EXPORT {{
    Export_Id = {number};
    Path = {export};
    Pseudo = {export};
    Protocols = {versions};
    Transports = TCP;
    Access_Type = {access};
    Squash = No_Root_Squash;
    SecType = sys, none;
    Attr_Expiration_Time = 0;
    FSAL {{ {backend} }}
}}
'''


class Server:
    """What all have in common: processes by pid file, ended by SIGKILL (tgtd ignores SIGTERM while it has a target)."""
    kind, programs, commands = None, (), ()  # what runs; what has to be installed

    def __init__(self, folder, space, address):
        self.folder, self.space, self.address = folder, space, address

    def begin(self, name, *command, env=None, enter=()):
        """Starts a program in the namespace and in the background; its output goes to its log."""
        os.makedirs(self.folder, exist_ok=True)
        with open(f"{self.folder}/{name}.log", "a") as log:
            process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.space}", *enter, "--", *command],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                       cwd="/", env=dict(CLEAN_ENVIRONMENT, **(env or {})))
        write_pid(f"{self.folder}/{name}.pid", process.pid)
        return process

    def answers(self, process, name, question):
        """Waits until `question` holds; the server's last words when it ended instead."""
        def answered():
            if process.poll() is not None:
                words = (read(f"{self.folder}/{name}.log") or "").strip().splitlines()[-3:]
                raise LabError(f"{name} did not start: {' | '.join(words)}")
            return question()
        until(answered, START_SECONDS, f"start of {name}")

    def pids(self):
        return {name: read_pid(f"{self.folder}/{name}.pid") for name in self.programs}

    def runs(self):
        return all(self.pids().values())

    def stop(self):
        for pid in filter(None, self.pids().values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(self.pids().values()), START_SECONDS, f"end of {' and '.join(self.programs)}")

    def listens(self, port):
        """Whether something in the namespace listens on the TCP port."""
        out = call("nsenter", f"--net=/run/netns/{self.space}", "cat", "/proc/net/tcp", "/proc/net/tcp6", check=False)
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
                   for line in (out or "").splitlines() if line.split()[0] != "sl")


class IscsiServer(Server):
    """One target with CHAP; the files are its LUNs 1, 2 .. in their order, those of `read_only` for reading alone."""
    kind, programs, commands = "iscsi", ("tgtd",), ("tgtd", "tgtadm")
    port = 3260

    def __init__(self, folder, space, address, files, sector=512, read_only=()):
        super().__init__(folder, space, address)
        self.files, self.sector, self.read_only, self.target = files, sector, read_only, f"{IQN}:storage"

    def admin(self, *words, check=True):
        return call("tgtadm", "--lld", "iscsi", *words, timeout=5, check=check,
                    env={"TGT_IPC_SOCKET": f"{self.folder}/tgtd.socket"})

    def add(self, number, file, read_only=False):
        """A LUN; `sync`: what was answered is on the storage."""
        lun = ("--tid", "1", "--lun", str(number))
        self.admin("--op", "new", "--mode", "logicalunit", *lun, "-b", file, "--bstype", "rdwr", "--bsoflags", "sync",
                   "--blocksize", str(self.sector))
        self.admin("--op", "update", "--mode", "logicalunit", *lun, "--params",
                   f"vendor_id=LAB,product_id=STORAGE,scsi_sn=LAB{number:05},readonly={int(read_only)}")

    def remove(self, number):
        self.admin("--op", "delete", "--mode", "logicalunit", "--tid", "1", "--lun", str(number))

    def start(self):
        process = self.begin("tgtd", "tgtd", "-f", "--iscsi", f"portal={self.address}:{self.port}",
                             env={"TGT_IPC_SOCKET": f"{self.folder}/tgtd.socket"})
        self.answers(process, "tgtd", lambda: self.admin("--op", "show", "--mode", "target", check=False) is not None)
        one = ("--tid", "1")
        self.admin("--op", "new", "--mode", "target", *one, "-T", self.target)
        for number, file in enumerate(self.files, 1):
            self.add(number, file, file in self.read_only)
        self.admin("--op", "new", "--mode", "account", "--user", CHAP_USER, "--password", CHAP_PASSWORD)
        self.admin("--op", "bind", "--mode", "account", *one, "--user", CHAP_USER)
        self.admin("--op", "bind", "--mode", "target", *one, "-I", "ALL")


    def send_on(self, address):
        """Who logs in is told to go to another portal."""
        for name, value in (("RedirectAddress", address), ("RedirectPort", str(self.port)), ("RedirectReason", "Temporary")):
            self.admin("--op", "update", "--mode", "target", "--tid", "1", "--name", name, "--value", value)


class NfsServer(Server):
    """The folder `export`, mounted as its own path by either version, further ones, and `read_only` for reading alone;
    versions "3", "4" or "3,4"."""
    kind, programs, commands = "nfs", ("rpcbind", "ganesha"), ("rpcbind", "ganesha.nfsd")
    port, backend = 2049, "Name = VFS;"

    def __init__(self, folder, space, address, export, versions="3,4", read_only=None, further=()):
        super().__init__(folder, space, address)
        self.export, self.versions, self.read_only, self.further = export, versions, read_only, further

    def start(self):
        configuration = f"{self.folder}/ganesha.conf"
        os.makedirs(f"{self.folder}/recovery", exist_ok=True)
        folders = dict.fromkeys((self.export, *self.further), "RW") | ({self.read_only: "RO"} if self.read_only else {})
        exports = (GANESHA_EXPORT.format(number=number, export=export, versions=self.versions, access=access,
                                         backend=self.backend)
                   for number, (export, access) in enumerate(folders.items(), 1))
        write(configuration, GANESHA.format(versions=self.versions, address=self.address, folder=self.folder,
                                            plugins=GANESHA_PLUGINS) + "".join(exports))
        # Clients of version 3 ask rpcbind for mountd's port. Its socket has one name in each mount namespace.
        portmapper = self.begin("rpcbind", "unshare", "--mount", "--propagation", "private", "sh", "-c",
                                'mount --rbind "$1" /mnt && mount -t tmpfs rpcbind /run && mkdir -p "$1" && '
                                'mount --rbind /mnt "$1" && exec rpcbind -f', "sh",
                                os.path.commonpath([self.folder, self.export]))
        self.answers(portmapper, "rpcbind", lambda: self.listens(111))
        process = self.begin("ganesha", "ganesha.nfsd", "-F", "-f", configuration, "-L", f"{self.folder}/ganesha.log",
                             "-p", f"{self.folder}/ganesha.own", "-N", "NIV_EVENT",
                             enter=("--target", str(portmapper.pid), "--mount"))
        self.answers(process, "ganesha", lambda: self.listens(self.port))


class NfsProxy(NfsServer):
    """A client of NFS version 4 for programs that speak 3 alone: serves 3 at `address`, of what `origin` has by 4."""

    def __init__(self, folder, space, origin):
        super().__init__(folder, space, "127.0.0.1", origin.export, "3")
        self.backend = f"Name = PROXY_V4; Srv_Addr = {origin.address};"


class GlusterServer(Server):
    """glusterd with one volume, replicated on three bricks below `bricks`; what a client has to know is the volume."""
    kind, programs, commands = "gluster", ("glusterd",), ("glusterd", "glusterfs", "gluster")
    volume = "storage"
    port = 24007
    # As hosted-engine-storage(7) has them, which says why.
    options = (("group", "virt"), ("network.ping-timeout", "10"), ("cluster.eager-lock", "off"),
               ("performance.stat-prefetch", "off"), ("network.remote-dio", "disable"),
               ("performance.strict-o-direct", "on"), ("features.shard", "off"))

    def __init__(self, folder, space, address, bricks):
        super().__init__(folder, space, address)
        self.bricks = [f"{bricks}/brick{number}" for number in (1, 2, 3)]

    def inside(self, *command, timeout=20, check=True):
        pid = read_pid(f"{self.folder}/glusterd.pid")
        if pid is None:
            raise LabError("glusterd does not run")
        return call("nsenter", "--target", str(pid), "--mount", "--net", "--", *command, timeout=timeout, check=check)

    def gluster(self, *words, **options):
        return self.inside("gluster", "--mode=script", *words, **options)

    def start(self):
        new = not os.path.isdir(f"{self.folder}/work")
        os.makedirs(f"{self.folder}/log/bricks", exist_ok=True)
        if new:
            # Nothing of a server that the machine may have: neither its name nor its volumes.
            shutil.copytree("/var/lib/glusterd", f"{self.folder}/work", symlinks=True,
                            ignore=shutil.ignore_patterns("glusterd.info", "peers", "vols", "snaps", "bitd", "scrub",
                                                          "quotad", "nfs", "glustershd"))
        # Its folders have one name in each mount namespace: in this one they are the lab's.
        process = self.begin("glusterd", "unshare", "--mount", "--propagation", "private", "sh", "-c",
                             'mount --bind "$1/work" /var/lib/glusterd && mount --bind "$1/log" /var/log/glusterfs && '
                             'mount --rbind "$2" /mnt && mount -t tmpfs gluster /run && mkdir -p "$2" /run/gluster && '
                             'mount --rbind /mnt "$2" && exec glusterd -N', "sh", self.folder,
                             os.path.commonpath([self.folder, *self.bricks]))
        self.answers(process, "glusterd", lambda: self.gluster("volume", "list", timeout=5, check=False) is not None)
        if new:
            for brick in self.bricks:
                os.makedirs(brick)
            self.gluster("volume", "create", self.volume, "replica", "3",
                         *[f"{self.address}:{brick}" for brick in self.bricks], "force")
            for key, value in self.options:
                self.gluster("volume", "set", self.volume, key, value)
            self.gluster("volume", "start", self.volume)

    def stop(self):
        """glusterd, and the processes of the bricks that it began: all that is in the namespace."""
        for pid in call("ip", "netns", "pids", self.space).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        until(lambda: not call("ip", "netns", "pids", self.space).split(), START_SECONDS, "end of gluster")

    @contextlib.contextmanager
    def mounted(self, path):
        """The volume as a folder, for who makes its files."""
        os.makedirs(path, exist_ok=True)
        call("nsenter", f"--net=/run/netns/{self.space}", "--", "glusterfs", f"--volfile-server={self.address}",
             f"--volfile-id={self.volume}", "--direct-io-mode=enable", f"--log-file={self.folder}/mount.log", path)
        try:
            yield path
        finally:
            call("umount", path)
