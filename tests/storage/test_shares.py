# SPDX-License-Identifier: LGPL-2.1-or-later
"""A storage domain in a folder that a real NFS server exports, laid out and found by who has not mounted it."""
import errno
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from storage_space import ADDRESSES, TOP, Space  # noqa: E402
from storage_servers import NfsServer  # noqa: E402

PROGRAM = f"{os.environ.get('OVIRT_HA_BUILD', f'{TOP}/build')}/tests/storage/share_drive"
ONE, OTHER = "5e5c1d5a-0f0e-4b8e-9a53-2d4a3c1e7f10", "5e5c1d5a-0f0e-4b8e-9a53-2d4a3c1e7f11"
SIZES = {"conf": 4 << 20, "disk": 64 << 20, "leases": 3 << 20, "lockspace": 1 << 20, "metadata": 2002 * 4096}


class Share:
    """An export, owned by the files' owner or by root, and one for reading alone."""

    def __init__(self, space):
        self.space, self.folder, self.closed = space, f"{space.folder}/share", f"{space.folder}/shut"
        for folder in (self.folder, self.closed):
            os.makedirs(folder)
            os.chown(folder, 36, 36)
        self.server = NfsServer(f"{space.folder}/nfs", space.name, ADDRESSES[0], self.folder, "3", self.closed)
        self.server.start()

    def act(self, act, *words, path=None):
        """(errno, what it said)"""
        out = subprocess.run(["nsenter", f"--net=/run/netns/{self.space.name}", "--", PROGRAM, act,
                              f"{ADDRESSES[0]}:{path or self.folder}", *words], check=True, capture_output=True, text=True,
                             timeout=60).stdout
        number, _, words = out.strip().partition(" ")
        return int(number), words

    def files(self):
        return {name: os.path.getsize(f"{self.folder}/{name}") for name in sorted(os.listdir(self.folder))}

    def part(self, name, at, size):
        with open(f"{self.folder}/{name}", "rb") as file:
            file.seek(at)
            return file.read(size)


@pytest.fixture(scope="module")
def running():
    space = Space("shares")
    try:
        yield Share(space)
    finally:
        space.down()


@pytest.fixture
def share(running):
    for name in os.listdir(running.folder):
        os.unlink(f"{running.folder}/{name}")
    os.chown(running.folder, 36, 36)
    os.chmod(running.folder, 0o755)
    return running


@pytest.mark.parametrize("owner", [36, 0])
def test_laid_out(share, owner):
    os.chown(share.folder, owner, owner)
    assert share.act("vacant")[0] == 0 and share.act("read")[0] == errno.ENODATA
    assert share.act("format", ONE) == (0, ONE)
    assert share.files() == SIZES
    for name in SIZES:
        info = os.stat(f"{share.folder}/{name}")
        assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (36, 36, 0o660), name
    assert os.stat(f"{share.folder}/disk").st_blocks == 0
    # What sanlock itself says, of files that it did not write.
    for part, kind, words in (("lockspace", "-s", "hosted-engine:1"), ("leases", "-r", "hosted-engine:engine"),
                              ("leases", "-r", "hosted-engine:conf")):
        offset = 2 << 20 if words.endswith("conf") else 0
        read = subprocess.run(["sanlock", "direct", "read_leader", kind, f"{words}:{share.folder}/{part}:{offset}"], check=True,
                              capture_output=True, text=True, errors="replace",
                              timeout=20, env={**os.environ, "SANLOCK_PRIVILEGED": "0"}).stdout
        assert re.search(r"^space_name +hosted-engine$", read, re.M), read
    assert share.part("metadata", 2001 * 4096, 4096).rstrip(b"\0") == f"domain={ONE}\nlockspace=hosted-engine\n".encode()
    assert not any(share.part("metadata", 0, 2001 * 4096)) and not any(share.part("conf", 0, 4 << 20))
    assert share.act("read") == (0, ONE)


def test_refused(share):
    with open(f"{share.folder}/somebody's", "w") as file:
        file.write("anything")
    number, words = share.act("format", ONE)
    assert number == errno.EEXIST and words.endswith("holds somebody's") and share.files() == {"somebody's": 8}
    # Forced: nothing but files of a domain's names is lost.
    assert share.act("force", ONE) == (0, ONE) and share.files() == {**SIZES, "somebody's": 8}
    assert share.act("format", OTHER)[0] == errno.EEXIST and share.act("read") == (0, ONE)
    assert share.act("force", OTHER) == (0, OTHER)
    # Somebody else's folder of one of the names: nothing was lost before it was seen.
    os.unlink(f"{share.folder}/disk")
    os.mkdir(f"{share.folder}/disk")
    try:
        assert share.act("force", ONE)[0] == errno.EISDIR
        assert os.path.exists(f"{share.folder}/metadata") and share.act("read")[0] == errno.EBADMSG
    finally:
        os.rmdir(f"{share.folder}/disk")


def test_erased(share):
    assert share.act("format", ONE) == (0, ONE)
    number, words = share.act("erase", OTHER)
    assert number == errno.EXDEV and ONE in words and share.files() == SIZES
    os.unlink(f"{share.folder}/conf")  # of a part of one nobody knows whose it is
    assert share.act("erase", ONE)[0] == errno.EXDEV and len(share.files()) == 4
    os.unlink(f"{share.folder}/metadata")  # a format that was broken off
    os.rename(f"{share.folder}/lockspace", f"{share.folder}/metadata.new")
    assert share.act("read")[0] == errno.ENODATA
    assert share.act("erase", ONE)[0] == 0 and share.files() == {}
    assert share.act("erase", ONE)[0] == 0


def test_failures(share):
    for path, expected in ((share.closed, (errno.EROFS, errno.EACCES)), ("/missing", (errno.ENOENT, errno.EACCES))):
        number, words = share.act("format", ONE, path=path)
        assert number in expected and path in words
    assert os.listdir(share.closed) == []
    number, words = share.act("format", ONE, str(1 << 40))
    assert number == errno.ENOSPC and "bytes left, the domain takes" in words and share.files() == {}
    # What was begun goes again: a folder has the name that the last file was to get.
    os.mkdir(f"{share.folder}/conf")
    try:
        assert share.act("force", ONE)[0] == errno.EISDIR and os.listdir(share.folder) == ["conf"]
    finally:
        os.rmdir(f"{share.folder}/conf")


def test_no_server(share):
    number, words = share.act("format", ONE, path="/x")
    assert number in (errno.ENOENT, errno.EACCES) and "/x" in words
    share.server.stop()
    try:
        number, words = share.act("read")
        assert number in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EFAULT, errno.EIO) and share.folder in words, words
        share.server.versions = "4"
        share.server.start()
        number, words = share.act("read")
        assert number and f"{share.folder} can't be mounted by NFS version 3" in words, words
        share.server.stop()
    finally:
        share.server.versions = "3"
        share.server.start()
