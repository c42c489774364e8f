# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each networked kind of store: its server in a space, its whiteboard there, and specs of it and of what is wrong.
Decides nothing about what a case expects. Called by test_stores.py and by the bench of stores.
"""
import contextlib
import errno
import os

from storage_space import ADDRESSES, BLOCK, TOP
from storage_servers import CHAP_PASSWORD, CHAP_USER, IscsiServer, NfsServer

BLOCKS = 2002
COMMAND = f"{os.environ.get('OVIRT_HA_BUILD', f'{TOP}/build')}/tools/hosted-engine"


def make_file(path, size=BLOCKS * BLOCK):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)


class Kind:
    """A way to the whiteboard: its server, its file there, and specs of it and of what is wrong."""
    address = ADDRESSES[0]
    access = ()
    step = 512  # an offset may be any multiple of it

    def prepare(self):
        make_file(self.file)
        make_file(self.closed)
        make_file(self.short, 5 * BLOCK + 512)
        make_file(self.full)
        with contextlib.suppress(OSError), open(f"{os.path.dirname(self.full)}/rest", "wb", buffering=0) as rest:
            while True:
                rest.write(bytes(BLOCK))

    def stored(self, block):
        with open(self.file, "rb") as file:
            file.seek(block * BLOCK)
            return file.read(BLOCK)


class Nfs(Kind):
    port, process, unreachable, no_room = NfsServer.port, "ganesha", errno.ENETUNREACH, errno.ENOSPC

    def __init__(self, space, version):
        self.version = version
        self.folder, closed = f"{space.folder}/export", f"{space.folder}/closed"
        self.file, self.short, self.closed = f"{self.folder}/domain/board", f"{self.folder}/short", f"{closed}/board"
        self.full = f"{space.full}/board"
        self.server = NfsServer(f"{space.folder}/nfs", space.name, self.address, self.folder, read_only=closed,
                                further=(space.full,))
        self.wrong = {"export": ("/missing/board", (errno.ENOENT, errno.EACCES)),
                      "file": (f"{self.folder}/missing", (errno.ENOENT,)),
                      "folder": (f"{self.folder}/domain", (errno.EISDIR, errno.EINVAL)),
                      "read-only": (self.closed, (errno.EROFS, errno.EACCES))}

    def spec(self, server=None, path=None, more=""):
        return f"nfs://{server or self.address}{path or self.file}?version={self.version}{more}"

    def short_path(self):
        return self.short

    def full_path(self):
        return self.full


class Iscsi(Kind):
    port, process, unreachable, no_room = IscsiServer.port, "tgtd", errno.ECONNREFUSED, errno.EIO  # a thin unit
    access = (CHAP_USER, CHAP_PASSWORD)

    def __init__(self, space, sector):
        self.step, self.address = sector, ADDRESSES[sector != 512]
        folder = f"{space.folder}/iscsi{sector}"
        self.file, self.short, self.closed = f"{folder}/board", f"{folder}/short", f"{folder}/closed"
        self.full = f"{space.full}/board{sector}"
        self.server = IscsiServer(f"{folder}/tgt", space.name, self.address, (self.file, self.short, self.closed, self.full), sector,
                                  read_only=(self.closed,))
        self.wrong = {"export": ("/iqn.2026-11.lab:none/1", (errno.EACCES,)),
                      "file": (f"/{self.server.target}/9", (errno.ENXIO,)),
                      "folder": (f"/{self.server.target}/0", (errno.EINVAL, errno.EIO)),  # the target's own unit
                      "read-only": (f"/{self.server.target}/3", (errno.EROFS,))}

    def spec(self, server=None, path=None, more=""):
        more = f"?{more[1:]}" if more else ""
        return f"iscsi://{server or self.address}{path or f'/{self.server.target}/1'}{more}"

    def short_path(self):
        return f"/{self.server.target}/2"

    def full_path(self):
        return f"/{self.server.target}/4"


KINDS = {"nfs3": (Nfs, 3), "nfs4": (Nfs, 4), "iscsi512": (Iscsi, 512), "iscsi4096": (Iscsi, 4096)}
