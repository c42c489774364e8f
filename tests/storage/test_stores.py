# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stores that reach servers by libraries of their own, on real servers that hang, die, refuse and come back."""
import errno
import glob
import json
import os
import signal
import subprocess
import sys

import pytest

from storage_kinds import BLOCKS, COMMAND, Iscsi
from storage_space import BLOCK, SILENT, TOP, Store, until
from lab_place import read
from storage_servers import CHAP_PASSWORD, CHAP_USER

PROGRAM = f"{os.environ.get('OVIRT_HA_BUILD', f'{TOP}/build')}/tests/storage/store_drive"
ODD_PROGRAM = f"{PROGRAM}_odd_target"
GAP_MS = 1500  # far above a machine that is busy; a loop that waits for a server which stands still does so for good
RETRY = 15


@pytest.fixture
def open_store(space):
    stores = []

    def make(kind, *access, program=PROGRAM, **words):
        stores.append(Store(space, program, kind.spec(**words), *(access or kind.access)))
        assert stores[-1].opened[0] == "0", stores[-1].opened
        return stores[-1]
    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(kind, open_store):
    return open_store(kind)


def pause(kind):
    pid = kind.server.pids()[kind.process]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all(state_of(task) in ("T", None) for task in glob.glob(f"/proc/{pid}/task/*")), 5,
          "the server does not stand still")
    return pid


def state_of(task):
    """None: it has ended meanwhile."""
    text = read(f"{task}/stat")
    return text.rsplit(")", 1)[1].split()[0] if text else None


def works(store, block, byte):
    """Its own value is written and read again, by and by: what was late may come in between."""
    return store.write(block, byte)[0] == 0 and store.read(block)[2] == [[byte, 1]]


def test_blocks(kind, store):
    assert store.read(0, 3)[2] == [[0, 3]]
    for block, byte in ((1, 0x41), (2000, 0x42), (0, 0x43), (1, 0x44)):
        assert store.write(block, byte)[0] == 0
        assert kind.stored(block) == bytes([byte]) * BLOCK
    assert store.read(0, 250)[2] == [[0x43, 1], [0x44, 1], [0, 248]]
    assert store.read(1900, 102)[2] == [[0, 100], [0x42, 1], [0, 1]]
    assert os.path.getsize(kind.file) == BLOCKS * BLOCK
    assert store.health() == (0, None)


def test_nothing_is_kept(kind, store):
    for byte in (0x46, 0x47, 0x48):  # by another host
        with open(kind.file, "r+b") as file:
            file.seek(7 * BLOCK)
            file.write(bytes([byte]) * BLOCK)
        assert store.read(7)[2] == [[byte, 1]]
        assert store.read(6, 2)[2] == [[0, 1], [byte, 1]]


def test_large_read(kind, store):
    with open(kind.file, "r+b") as file:
        file.write(b"".join(bytes([1 + i % 251]) * BLOCK for i in range(BLOCKS)))
    for first in (1, 701):
        assert store.read(first, 250)[2] == [[1 + (first + i) % 251, 1] for i in range(250)]


def test_offset(kind, open_store):
    store = open_store(kind, more=f"&offset={2 * BLOCK + kind.step}")
    assert store.write(0, 0x45)[0] == 0
    assert kind.stored(2) + kind.stored(3) == (bytes(kind.step) + b"E" * BLOCK).ljust(2 * BLOCK, b"\0")
    assert store.read(0)[2] == [[0x45, 1]]


def test_beyond_the_end(kind, open_store):
    with open(kind.short, "r+b") as file:
        file.seek(4 * BLOCK)
        file.write(b"F" * BLOCK)
    store = open_store(kind, path=kind.short_path())
    assert store.read(3, 4)[2] == [[0, 1], [0x46, 1], [0, 2]]
    assert store.read(4)[2] == [[0x46, 1]]
    assert store.read(100, 200)[2] == [[0, 200]]


def test_queues_do_not_wait(store):
    for which in range(3):
        store.say("write", which, which, f"{0x50 + which:x}", 5000)
    assert [store.write_end(which)[0] for which in range(3)] == [0, 0, 0]
    store.say("read 0 0 1 5000\nread 0 0 1 5000")  # at once, so that the second meets the first
    assert sorted(store.read_end(0)[0] for _ in range(2)) == [-errno.EBUSY, 0]
    assert store.read(0, 3)[2] == [[0x50, 1], [0x51, 1], [0x52, 1]]


def test_server_hangs(kind, store):
    assert works(store, 1, 0x61)
    assert store.read(1, which=1)[0] == 0
    pid = pause(kind)
    try:
        store.gap()
        store.say("write", 0, 1, "62", 1000)
        store.say("read", 1, 1, 1, 1500)  # over a connection that had worked
        store.say("read", 2, 1, 1, 500)
        for error, ms, least in ((*store.read_end(2)[:2], 500), (*store.write_end(0), 1000), (*store.read_end(1)[:2], 1500)):
            assert error == -errno.ETIMEDOUT and least <= ms < least + GAP_MS
        error, ms = store.write(1, 0x63, ms=600)  # over a new one
        assert error == -errno.ETIMEDOUT and 600 <= ms < 600 + GAP_MS
        assert store.gap() < GAP_MS
        threads, since = store.health()
        assert threads == 0 and since > 1500
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: works(store, 1, 0x64), RETRY, "the store does not work again")
    until(lambda: store.read(1, which=1)[2] == [[0x64, 1]], RETRY, "another queue does not work again")
    assert store.health() == (0, None)


def test_server_restarted(kind, store):
    assert works(store, 1, 0x71)
    kind.server.stop()
    store.gap()
    error, ms = store.write(1, 0x72)
    # A refusal is an answer: what is more than the loop's own gap would be a wait for the deadline of 5 s.
    assert error in (-errno.ECONNREFUSED, -errno.ECONNRESET) and ms < GAP_MS
    assert store.gap() < GAP_MS
    kind.server.start()
    until(lambda: works(store, 1, 0x73), RETRY, "the store does not work again")


def test_restart_between_two_operations_is_not_seen(kind, store):
    assert works(store, 1, 0x74)
    kind.server.stop()
    kind.server.start()
    assert store.write(1, 0x75, ms=15000)[0] == 0
    assert kind.stored(1) == b"\x75" * BLOCK


def test_nothing_is_sent_after_the_deadline(kind, store, space):
    """Safety rule 13: the network comes back, and what was given up meanwhile does not."""
    assert works(store, 1, 0x31)
    match = ("-p", "tcp", "--dport", str(kind.port))
    space.drop(*match)
    try:
        assert store.write(1, 0x32, ms=700)[0] == -errno.ETIMEDOUT
        assert space.unsent(kind.port) == []
    finally:
        space.let_through(*match)
    until(lambda: store.read(1, which=0)[2] == [[0x31, 1]], RETRY, "the store does not work again")
    assert kind.stored(1) == b"\x31" * BLOCK


def test_other_storage_behind_the_same_address(kind, store):
    """Safety rule 8: nothing is written before its identity is known."""
    assert works(store, 1, 0x31)
    kind.server.stop()
    with open(kind.file, "r+b") as file:
        file.seek((BLOCKS - 1) * BLOCK)
        file.write(b"domain=another")
    kind.server.start()
    until(lambda: store.write(1, 0x32)[0] == -errno.EXDEV, RETRY, "it writes to other storage")
    assert store.write(0, 0x32, which=1)[0] == -errno.EXDEV
    assert kind.stored(1) == b"\x31" * BLOCK
    assert store.read(BLOCKS - 1)[0] == 0  # who reads it judges it
    assert works(store, 1, 0x33)


def test_full(kind, open_store):
    store = open_store(kind, path=kind.full_path())
    assert store.read(1)[0] == 0
    error, ms = store.write(1, 0x34)
    assert -error == kind.no_room and ms < 2000
    assert store.read(1)[2] == [[0, 1]]


@pytest.mark.parametrize("what", ["export", "file", "folder", "read-only"])
def test_wrong_place(kind, open_store, what):
    path, errors = kind.wrong[what]
    store = open_store(kind, path=path)
    error, ms = store.write(1, 0x33)
    assert -error in errors and ms < 2000
    assert open(kind.closed, "rb").read() == bytes(BLOCKS * BLOCK)


@pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
@pytest.mark.parametrize("access", [(CHAP_USER, "not-the-password"), ("nobody", CHAP_PASSWORD), ("", "")])
def test_wrong_password(kind, open_store, access):
    error, ms = open_store(kind, *access).write(1, 0x33)
    assert error == -errno.EACCES and ms < 2000


@pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
def test_unit_that_refuses_fua(kind, space, open_store):
    said = f"{space.folder}/said"
    store = open_store(kind, program=("sh", "-c", 'exec "$@" 2>"$0"', said, "env", "ODD_TARGET=fua", ODD_PROGRAM))
    for byte in (0x41, 0x42):
        assert works(store, 1, byte)
        assert kind.stored(1) == bytes([byte]) * BLOCK
    # The first is refused, and then no other asks for it.
    assert open(said).read().splitlines() == ["write fua=1"] + ["write fua=0"] * 2


@pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
def test_unit_without_a_size(kind, open_store):
    store = open_store(kind, program=("env", "ODD_TARGET=size", ODD_PROGRAM))
    assert store.write(1, 0x41)[0] == -errno.EIO and store.read(1)[0] == -errno.EIO
    assert kind.stored(1) == bytes(BLOCK)


def test_no_way_to_the_server(kind, open_store):
    error, ms = open_store(kind, server="192.0.2.1").write(1, 0x41)
    assert -error == kind.unreachable and ms < GAP_MS


def test_write_beyond_the_end(kind, open_store):
    store = open_store(kind, path=kind.short_path())
    assert store.write(4, 0x33)[0] == 0
    assert store.write(5, 0x33)[0] == -errno.EFBIG
    assert os.path.getsize(kind.short) == 5 * BLOCK + 512


@pytest.mark.parametrize("kind", ["nfs3", "nfs4"], indirect=True)
def test_cut_short(kind, store):
    def refused():
        os.truncate(kind.file, 9 * BLOCK)  # a look at it is good for 2 s
        return store.write(9, 0x33)[0] == -errno.EFBIG
    assert works(store, 9, 0x33)
    until(refused, RETRY, "it writes beyond the end")
    assert store.write(8, 0x33)[0] == 0
    assert os.path.getsize(kind.file) == 9 * BLOCK


@pytest.mark.parametrize("kind", ["nfs3", "nfs4"], indirect=True)
def test_owner(kind, open_store):
    """As who the address says; over version 4 that one has to be able to write the folder, too."""
    folder = os.path.dirname(kind.file)
    store = open_store(kind, more="&uid=36&gid=36")
    assert store.write(1, 0x34)[0] == -errno.EACCES
    try:
        os.chown(folder if kind.version == 3 else kind.file, 36, 36)
        assert store.write(1, 0x34)[0] == -errno.EACCES
        os.chown(kind.file if kind.version == 3 else folder, 36, 36)
        until(lambda: works(store, 1, 0x34), RETRY, "it does not write what it may")
    finally:
        os.chown(folder, 0, 0)
        os.unlink(kind.file)


@pytest.mark.parametrize("kind", ["nfs3", "nfs4"], indirect=True)
def test_replaced_file(kind, store):
    assert works(store, 1, 0x34)
    os.rename(kind.file, f"{kind.file}.old")
    kind.prepare()
    until(lambda: store.write(1, 0x35)[0] == 0 and kind.stored(1) == b"5" * BLOCK, RETRY, "it writes into the old file")
    os.unlink(f"{kind.file}.old")


def test_second_address(kind, open_store):
    """The first one is silent, or refuses."""
    for server in (f"{SILENT},{kind.address}", f"{kind.address}:1,{kind.address}"):
        store = open_store(kind, server=server)
        error, ms = store.write(1, 0x36, ms=4000)
        assert error == 0 and ms < 2000 + GAP_MS  # half of the time is the silent one's share, and no more
        error, ms = store.write(2, 0x36, ms=4000)
        assert error == 0 and ms < GAP_MS  # nothing of it


@pytest.mark.parametrize("kind", ["nfs3"], indirect=True)
def test_name(kind, open_store):
    store = open_store(kind, server="localhost")
    assert works(store, 1, 0x37)


def test_dead_address_is_not_asked_again(kind, open_store):
    """It costs its share of the first operation of each queue, and nothing when the other one's server is begun anew."""
    store = open_store(kind, server=f"{SILENT},{kind.address}")
    assert store.write(1, 0x36, ms=4000)[0] == 0
    for byte in range(0x41, 0x44):
        kind.server.stop()
        kind.server.start()
        error, ms = store.write(1, byte, ms=4000)
        assert error == 0 and ms < 2000


@pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
def test_portal_that_sends_on(kind, space, open_store):
    other = Iscsi(space, 4096)
    other.prepare()
    other.server.stop()
    other.server.start()
    try:
        kind.server.send_on(other.address)
        assert works(open_store(kind), 1, 0x37)
        assert other.stored(1) == b"\x37" * BLOCK and kind.stored(1) == bytes(BLOCK)
        other.server.send_on(SILENT)  # a second time
        assert open_store(kind).write(1, 0x38)[0] == -errno.EREMOTE
    finally:
        kind.server.stop()
        other.server.stop()


@pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
def test_portal_that_sends_on_to_a_name(kind, space, open_store):
    """It would be asked for in the loop."""
    kind.server.stop()
    with subprocess.Popen(["nsenter", f"--net=/run/netns/{space.name}", "--", sys.executable,
                           f"{os.path.dirname(__file__)}/sending_portal.py", kind.address, "storage.example:3260,1"],
                          stdout=subprocess.PIPE) as portal:
        try:
            assert portal.stdout.readline() == b"listening\n"
            assert open_store(kind).write(1, 0x38)[0] == -errno.EREMOTE
        finally:
            portal.kill()


@pytest.mark.parametrize("kind", ["nfs3"], indirect=True)
def test_no_server_is_asked_for_names_of_ports(kind, space, open_store):
    """libnfs asks for one with each connection, in the loop; a module of a name server would be loaded for it."""
    sources, log = f"{space.folder}/nsswitch.conf", f"{space.folder}/loaded"
    with open(sources, "w") as file:
        file.write("hosts: files\nservices: nowhere files\n")
    store = open_store(kind, program=("unshare", "--mount", "--propagation", "private", "sh", "-c",
                                      'mount --bind "$0" /etc/nsswitch.conf && exec "$@"', sources,
                                      "env", "LD_DEBUG=libs", f"LD_DEBUG_OUTPUT={log}", PROGRAM))
    assert works(store, 1, 0x39)
    loaded = "".join(open(path).read() for path in glob.glob(f"{log}.*"))
    assert "libnfs" in loaded and "libnss_nowhere" not in loaded


def test_silent_server(kind, open_store):
    store = open_store(kind, server=SILENT)
    error, ms = store.write(1, 0x38, ms=800)
    assert error == -errno.ETIMEDOUT and 800 <= ms < 800 + GAP_MS
    assert store.gap() < GAP_MS


def dump(space, spec, user="", password=""):
    """--dump-whiteboard in the servers' namespace; the configuration says who we are."""
    folder = f"{space.folder}/conf/ovirt-hosted-engine"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/hosted-engine.conf", "w") as file:
        file.write(f"user={user}\npassword={password}\n")
    return subprocess.run(["nsenter", f"--net=/run/netns/{space.name}", "--", COMMAND, "--dump-whiteboard", spec, "--json"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                          env={**os.environ, "OVIRT_HA_CONF_DIR": f"{space.folder}/conf"})


def test_command_reads_a_whiteboard_on_a_server(kind, space):
    with open(kind.file, "r+b") as file:
        file.seek(2000 * BLOCK)
        file.write(b"no record")
    done = dump(space, kind.spec(), *kind.access)
    assert done.returncode == 0 and not done.stderr
    assert list(json.loads(done.stdout)) == ["2000"]
    assert done.stdout == dump(space, kind.file).stdout


CHECK = "; check the address, user= and password= in hosted-engine.conf, and that the server lets this host in\n"


@pytest.mark.parametrize("what", ["export", "file"])
def test_command_says_what_is_wrong(kind, space, what):
    path, errors = kind.wrong[what]
    done = dump(space, kind.spec(path=path), *kind.access)
    assert done.returncode == 1
    assert done.stderr in [f"Cannot read {kind.spec(path=path)}: {os.strerror(error)}{CHECK}" for error in errors]


@pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
def test_command_with_a_wrong_password(kind, space):
    done = dump(space, kind.spec(), CHAP_USER, "not-the-password")
    assert done.returncode == 1
    assert done.stderr == f"Cannot read {kind.spec()}: {os.strerror(errno.EACCES)}{CHECK}"


def test_command_knows_no_such_address(space):
    done = dump(space, "smb://server/share/file")
    assert done.returncode == 1 and done.stderr.startswith("Cannot read smb://server/share/file: is of no kind")
    assert done.stderr.count("\n") == 1
