# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lists that the questions of --deploy offer, from real servers, on a real terminal; and that a dialogue left by ^C,
SIGTERM or ^D leaves nothing behind. Nothing is connected here: the dialogue is left before it would be.
"""
import os
import re
import signal
import socket
import struct
import threading

import pexpect
import pytest

from storage_kinds import COMMAND
from storage_servers import CHAP_PASSWORD, CHAP_USER
from storage_space import ADDRESSES, SILENT, until

ISCSI = pytest.mark.parametrize("kind", ["iscsi512"], indirect=True)
NFS = pytest.mark.parametrize("kind", ["nfs3"], indirect=True)
LEFT = "nothing on this host was changed"


# On what no test may change: a copy of /etc, a systemctl that says that nothing runs and starts nothing. Names have one address,
# and no server is asked for them.
ON_A_COPY = """mount -t sysfs sysfs /sys && mount -t tmpfs copy "$1/copy" && mkdir "$1/copy/upper" "$1/copy/work" &&
    mount -t overlay etc -o "lowerdir=/etc,upperdir=$1/copy/upper,workdir=$1/copy/work" /etc &&
    printf '10.77.1.2 four.lab\\nfd77::2 six.lab\\n' >>/etc/hosts && rm -f /etc/resolv.conf && shift && exec "$@" """
SYSTEMCTL = """#!/bin/sh
case "$*" in *ActiveState*) echo inactive ;; *Timestamp*) echo ;; *is-*) exit 1 ;; esac
"""


def heed_signals():
    """Who runs the tests in the background, or by nohup, has some of them ignored, which a terminal's programs have not."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def terminal(request, space, tmp_path):
    """--deploy in the servers' namespace, on a host of its own, with the options that a case is parametrized by."""
    (tmp_path / "ovirt-hosted-engine").mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    environment = {**os.environ, "OVIRT_HA_CONF_DIR": str(tmp_path), "OVIRT_HA_STORAGE_SOCKET": f"{tmp_path}/socket",
                   "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    child = pexpect.spawn("nsenter", [f"--net=/run/netns/{space.name}", "--", "unshare", "--mount", "--", "sh", "-c", ON_A_COPY,
                                      "sh", str(tmp_path), COMMAND, "--deploy", *getattr(request, "param", [])],
                          encoding="utf-8", timeout=30, echo=False, dimensions=(24, 1000), env=environment,
                          preexec_fn=heed_signals)
    child.folder = tmp_path / "ovirt-hosted-engine"
    yield child
    child.close(force=True)


def answer(terminal, words, line):
    terminal.expect_exact(words)
    terminal.expect(": ?$")
    terminal.sendline(line)


def left(terminal, end):
    end()
    terminal.expect_exact(LEFT)
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 1 and list(terminal.folder.iterdir()) == []


def portal(terminal, address, *login):
    answer(terminal, "would like to use", "iscsi")
    answer(terminal, "connection path", address)
    answer(terminal, "portal port", "")
    for words, line in zip(("discover user", "its password"), login or ("",)):
        answer(terminal, words, line)


@ISCSI
def test_targets_and_luns(kind, terminal):
    portal(terminal, kind.address, CHAP_USER, CHAP_PASSWORD)
    terminal.expect_exact("The following targets have been found:")
    terminal.expect_exact(f"[1]  {kind.server.target}  {kind.address}:3260,1  LUNs: 4")
    answer(terminal, "iSCSI target name", "7")
    terminal.expect_exact("'7' is")
    answer(terminal, "iSCSI target name", "1")
    terminal.expect_exact("The following LUNs have been found:")
    terminal.expect_exact("A number picks one; what is not listed can be typed.")
    luns = terminal.before.split("\r\n")[1:-1]
    about = r" MiB  LAB STORAGE  serial LAB0000\d  "
    assert [re.sub(about, " ", lun.strip()) for lun in luns] == ["[1]  7 free", "[2]  0 unknown: too small", "[3]  7 free", "[4]  7 free"]
    answer(terminal, "destination LUN", "no LUN/")
    terminal.expect_exact("'no LUN/' is neither")
    terminal.expect_exact("destination LUN")
    left(terminal, lambda: terminal.sendcontrol("c"))


@ISCSI
def test_refused(kind, terminal):
    portal(terminal, kind.address, CHAP_USER, "not-the-password")
    terminal.expect(rf"\[1\]  {kind.server.target}  \S+  [^\r]*Authentication failure")
    answer(terminal, "iSCSI target name", "1")
    terminal.expect_exact("No list of LUNs: ")
    terminal.expect_exact("destination LUN")
    left(terminal, terminal.sendeof)


def test_silent_server_is_not_waited_for(terminal):
    portal(terminal, SILENT)
    terminal.expect_exact("Looking for iSCSI targets")
    left(terminal, lambda: terminal.sendcontrol("c"))


def test_left_at_a_password(terminal):
    portal(terminal, ADDRESSES[0], CHAP_USER)
    terminal.expect_exact("its password")
    left(terminal, lambda: terminal.sendcontrol("c"))


@NFS
def test_exports(kind, terminal):
    answer(terminal, "would like to use", "nfs3")
    answer(terminal, "connection path", f"{kind.address}:9")
    terminal.expect_exact("No list of NFS exports: ")
    answer(terminal, "connection path", kind.address)
    terminal.expect_exact("The following exports have been found:")
    terminal.expect(rf"\[(\d)\]  {kind.address}:{kind.folder} ")
    answer(terminal, "connection path", terminal.match.group(1))
    terminal.expect_exact("mount options")
    left(terminal, lambda: os.kill(terminal.pid, signal.SIGTERM))


@pytest.mark.parametrize("end", [lambda terminal: terminal.sendcontrol("c"), lambda terminal: os.kill(terminal.pid, signal.SIGHUP)],
                         ids=("ctrl-c", "hangup"))
def test_left_while_the_storage_is_connected(terminal, end):
    """The service never answers: it is told to disconnect, and nothing is left."""
    asked, clients = [], []

    def serve(listener):
        for reply in (None, struct.pack("IIiI384s", 1, 2, 0, 0, b"")):
            client, _ = listener.accept()
            asked.append(struct.unpack("II", client.recv(64))[1])
            clients.append(client)
            if reply:
                client.send(reply)

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{terminal.folder.parent}/socket")
        listener.listen()
        listener.settimeout(30)
        service = threading.Thread(target=serve, args=(listener,))
        service.start()
        portal(terminal, f"{ADDRESSES[0]}:9")
        answer(terminal, "iSCSI target name", "iqn.2026-11.lab:none")
        answer(terminal, "destination LUN", "1")
        until(lambda: asked == [1], 20, "the storage was not asked for")
        assert (terminal.folder / "deploy.journal").exists()
        left(terminal, lambda: end(terminal))
        service.join(10)
    assert asked == [1, 2]
    for client in clients:
        client.close()


@pytest.fixture
def routes(space):
    """A bridge with default routes of both kinds."""
    space.ip("link", "add", "br0", "up", "type", "bridge")
    for address, gateway in (("10.77.1.1/24", "10.77.1.254"), ("fd77::1/64", "fd77::fe")):
        space.ip("address", "add", address, "dev", "br0", *(["nodad"] if ":" in address else []))
        space.ip("route", "add", "default", "via", gateway, "dev", "br0")
    yield
    space.ip("link", "delete", "br0")


@pytest.mark.parametrize("terminal, gateway, name, other_gateway, other_name", [
    ((), "10.77.1.254", "six.lab", None, None),
    (("--4",), "10.77.1.254", "four.lab", "fd77::fe", "six.lab"),
    (("--6",), "fd77::fe", "six.lab", "10.77.1.254", "four.lab"),
], indirect=["terminal"], ids=("either", "4", "6"))
def test_addresses_of_one_kind(routes, terminal, tmp_path, gateway, name, other_gateway, other_name):
    (tmp_path / "domain").mkdir()
    answer(terminal, "would like to use", "path")
    answer(terminal, "connection path", str(tmp_path / "domain"))
    answer(terminal, "management bridge", "br0")
    if other_gateway:
        answer(terminal, "gateway IP address", other_gateway)
        terminal.expect_exact(f"'{other_gateway}' is not of IPv")
    answer(terminal, f"gateway IP address[{gateway}]", "")
    if other_name:
        answer(terminal, "FQDN for the engine", other_name)
        terminal.expect_exact(f"'{other_name}' does not resolve to an address of IPv")
    answer(terminal, "FQDN for the engine", name)
    terminal.expect_exact("engine's appliance")
    left(terminal, terminal.sendeof)
