# SPDX-License-Identifier: LGPL-2.1-or-later
"""The operator's commands that change what all hosts share: one lab of three hosts for the module, whose agents
have the VM's configuration from the conf volume alone."""
import glob
import io
import json
import os
import pty
import re
import select
import shutil
import subprocess
import tarfile
import termios
import threading
import time

import pytest

import lab_config
import lab_storage
from conftest import finish, make_lab, UP_SECONDS
from lab_driver import LAB, TOP, poll
from lab_place import call
from witness import Witness

ENTRIES = ("version", "hosted-engine.conf", "broker.conf", "vm.conf", "fhanswers.conf")
E3 = "The hosted engine configuration has not been retrieved from shared storage yet,\n"
FIRST_BLOCKS = 341  # of an archive that has no head yet
QUICK = ("--set", "agent.policy.loop=2", "--set", "agent.policy.shutdown=20", "--set", "agent.policy.unexpected=20")


pytestmark = pytest.mark.xdist_group("commands")  # one lab, and each case begins with what those before it left


def conf_volume(driver):
    return lab_storage.device(driver.lab, "conf")


def archive(driver, **texts):
    """The tar that a deployment of before wrote. The VM has a display beside the lab's usual one."""
    domain = lab_config.domain_xml(driver.lab, driver.lab.required_settings()).replace(
        "<memballoon", "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' passwd='closed' "
                       "passwdValidTo='1970-01-02T00:00:00'/><memballoon")
    texts = {"version": "1\n", "fhanswers.conf": "", "broker.conf": "[email]\nsmtp-server=localhost\n",
             "hosted-engine.conf": "fqdn=engine.lab\n", "vm.conf": domain, **texts}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ENTRIES:
            entry = tarfile.TarInfo(name)
            entry.size = len(texts[name].encode())
            tar.addfile(entry, io.BytesIO(texts[name].encode()))
    return data.getvalue()


@pytest.fixture(scope="module")
def hosts(request):
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    driver, witness = make_lab(request, worker, "--set", "he.vm_xml=", *QUICK), None
    try:
        driver.witness = witness = Witness(driver.lab).start()
        yield driver
    finally:
        finish(request, driver, witness)


@pytest.fixture
def lab(request, hosts):
    yield hosts
    if getattr(request.node, "case_failed", False):
        request.node.parent.case_failed = True  # the lab's evidence is kept


def shared(lab, host, key, kind):
    text = lab.operator(host, "--get-shared-config", key, f"--type={kind}").stdout
    return text.split(" : ", 1)[1].rsplit(", type : ", 1)[0]


def test_vm_comes_from_the_conf_volume(lab):
    for command in ("--vm-status", "--vm-start"):
        done = lab.operator(1, command, check=False)
        assert done.returncode == 1 and done.stdout.startswith(E3), done.stdout + done.stderr
    refused = lab.operator(1, "--set-shared-config", "smtp-port", "26", check=False)
    assert refused.returncode == 1 and "nothing was written there yet" in refused.stderr
    with open(conf_volume(lab), "r+b", buffering=0) as volume:
        volume.write(archive(lab))
    lab.wait_well(UP_SECONDS)
    host = lab.vm_host()
    lab.wait(f"state@{host}=EngineUp && health@{host}=good", UP_SECONDS)
    history = lab.operator(host, "--history").stdout
    assert re.search(r"-> EngineUp  because of .*, score \d+$", history, re.M), history
    assert history.count("\nHost ") == 3 and f"Host {host} is in EngineUp because of" in history


@pytest.mark.parametrize("key, value", [
    ("ca_subject", "a 'b' \"c\" ;#|é"), ("ca_subject", "x" * 100_000), ("vm_disk_id", ""),
], ids=("quotes", "100-KB", "nothing"))
def test_values_come_back(lab, key, value):
    lab.operator(1, "--set-shared-config", key, value, "--type=he_shared")
    assert shared(lab, 2, key, "he_shared") == value


def test_the_guides_session(lab):
    """Mail is set up for all hosts as the guide has it; the next maintenance is mailed by each of them, once, within a second."""
    server, root = lab.lab.host(1).address, f"{lab.lab.host(1).root}/root"
    shutil.copy(f"{TOP}/tests/mail/mail_server.py", f"{root}/mail_server.py")
    call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail", "-addext",
         f"subjectAltName=IP:{server}", "-keyout", f"{root}/key", "-out", f"{root}/ca")
    with open(f"{root}/key") as key, open(f"{root}/ca") as authority:
        known = {"/etc/mail.ca": authority.read(), "/etc/mail.password": "se cret\n", "/root/both": key.read()}
    known["/root/both"] += known["/etc/mail.ca"]
    for host in lab.keys():
        for path, text in known.items():
            with open(os.open(f"{lab.lab.host(host).root}{path}", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(text)
        lab.run(host, "chown", "ovirt-ha:", "/etc/mail.ca", "/etc/mail.password")
    lab.run(1, "systemd-run", "--quiet", "--unit=mail", "/usr/bin/python3", "-B", "/root/mail_server.py", "/root/mails", "--address",
            server, "--port", "25", "--tls", "starttls", "--certificate", "/root/both", "--login", "ha:se cret")

    lab.operator(2, "--set-shared-config", "smtp-server", server, "--type=broker")
    assert lab.operator(3, "--get-shared-config", "smtp-port", "--type=broker").stdout == "\nbroker : 25, type : broker\n\n"
    for key, value in {"source-email": "ha@lab", "destination-emails": "you@lab", "smtp-tls": "starttls", "smtp-user": "ha",
                       "smtp-ca": "/etc/mail.ca", "smtp-password-file": "/etc/mail.password"}.items():
        lab.operator(2, "--set-shared-config", key, value, "--type=broker")
    poll(lambda: all("mail.password" in lab.run(host, "cat", "/var/lib/ovirt-hosted-engine-ha/broker.conf").stdout
                     for host in lab.keys()), 30, "the hosts do not get the new broker.conf")
    for host in lab.keys():  # what could not be mailed until now comes with it
        lab.operator(host, "--test-alert")
    poll(lambda: all(lab.run(host, "ls", "/var/lib/ovirt-hosted-engine-ha/spool").stdout == "" for host in lab.keys()), 20,
         "the spools are not empty")

    begun = time.time()
    lab.operator(1, "--set-maintenance", "--mode=global")
    lab.wait(" && ".join(f"state@{host}=GlobalMaintenance" for host in lab.keys()), 20)

    def mails():
        found = []
        for path in glob.glob(f"{root}/mails/*.json"):
            with open(path) as file:
                found.append(json.load(file))
        return [mail for mail in found if mail["wall"] > begun and "-GlobalMaintenance" in mail["text"]]
    poll(lambda: len(mails()) == 3, 10, "not every host has mailed")
    taken = [float(line.split()[0]) for host in lab.keys() for line in lab.run(
        host, "journalctl", "-q", "--no-pager", "-o", "short-unix", "-u", "ovirt-ha-agent").stdout.splitlines()
        if "-> GlobalMaintenance" in line and float(line.split()[0]) > begun]
    for mail in mails():
        assert mail["tls"] and mail["login"] and mail["to"] == ["you@lab"] and min(abs(mail["wall"] - when) for when in taken) < 1
    lab.operator(1, "--set-maintenance", "--mode=none")
    lab.wait_well(UP_SECONDS)
    lab.run(1, "systemctl", "stop", "mail")
    assert len(mails()) == 3


def test_writers_at_once(lab):
    """Each change is of what counts then: none is lost."""
    changes = {"1": ("email.smtp-server", "mail.lab"), "2": ("smtp-port", "2525"), "3": ("source-email", "ha@lab")}
    threads = [threading.Thread(target=lab.operator, args=(host, "--set-shared-config", *change))
               for host, change in changes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for key, value in changes.values():
        assert shared(lab, 1, key, "broker") == value
    poll(lambda: all("smtp-port=2525" in lab.run(host, "cat", "/var/lib/ovirt-hosted-engine-ha/broker.conf").stdout
                     for host in lab.keys()), 30, "the hosts do not get the new broker.conf")


def test_who_may(lab):
    """A member of the group reads and changes nothing; another user does neither. Both are told why, and the log says it."""
    group = lab.run(1, "getent", "group", "ovirt-ha").stdout.split(":")[2]

    def as_nobody(groups, *command):
        return lab.run(1, "setpriv", "--reuid=65534", "--regid=65534", groups, "hosted-engine", *command, check=False)
    member, stranger = f"--groups={group}", "--clear-groups"
    assert as_nobody(member, "--vm-status").returncode == 0
    for groups, command in ((member, ("--set-maintenance", "--mode=global")), (stranger, ("--vm-status",)),
                            (member, ("--vm-poweroff",)), (member, ("--set-shared-config", "smtp-port", "1")),
                            (member, ("--reinitialize-lockspace", "--force")), (member, ("--console",))):
        done = as_nobody(groups, *command)
        assert done.returncode == 1 and "needs root" in done.stderr and not done.stdout, (command, done.stdout, done.stderr)
    assert lab.holds("global=false && vm=up")
    log = lab.run(1, "journalctl", "-q", "-b", "--no-pager", "-o", "cat").stdout
    for line in ("change refused uid=65534", "client refused uid=65534", "--set-shared-config refused uid=65534"):
        assert line in log, line


SECURITY = """import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as port:
    stream = port.makefile("rb")
    stream.read(12)
    port.sendall(b"RFB 003.008\\n")
    print(list(stream.read(stream.read(1)[0])))
"""


def test_console_password(lab):
    host = lab.vm_host()
    away = lab.operator(lab.others(host)[0], "--add-console-password", "--password=x", check=False)
    assert (away.returncode, away.stdout) == (1, "The engine VM is not on this host\n")
    done = lab.run(host, "env", "OVIRT_HOSTED_ENGINE_CONSOLE_PASSWORD=geheim", "hosted-engine", "--add-console-password")
    port = re.fullmatch(r"You can now connect the hosted-engine VM with VNC at 127\.0\.0\.1:(\d+)\n", done.stdout)
    assert port and not done.stderr, done.stdout + done.stderr
    assert lab.run(host, "python3", "-c", SECURITY, port[1]).stdout == "[2]\n"  # VNC's password, and nothing else
    xml = lab.run(host, "virsh", "dumpxml", "--security-info", "HostedEngine").stdout
    assert "passwd='geheim'" in xml and "passwdValidTo='" in xml


def test_console_shows_the_serial_line(lab):
    """On a real terminal: the guest's ticks come, ^] leaves, and the terminal is as it was."""
    host = lab.vm_host()
    away = lab.operator(lab.others(host)[0], "--console", check=False)
    assert (away.returncode, away.stdout) == (1, "The engine VM is not on this host\n")
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    console = subprocess.Popen([LAB, "--name", lab.lab.name, "run", host, "hosted-engine", "--console"], stdin=theirs,
                               stdout=theirs, stderr=theirs, start_new_session=True)
    try:
        seen = read_until(ours, b"TICK ", 30)
        assert seen.startswith(b"The engine VM is running on this host\r\n"), seen
        assert not termios.tcgetattr(theirs)[3] & termios.ICANON  # raw meanwhile
        os.write(ours, b"\x1d")
        assert console.wait(20) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        console.kill()
        console.wait()
        os.close(ours)
        os.close(theirs)


def read_until(terminal, what, seconds):
    """What came up to and with `what`."""
    seen, deadline = b"", time.monotonic() + seconds
    while what not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no {what} in {seconds} s: {seen}"
        seen += os.read(terminal, 4096)
    return seen


# A change of two blocks of archive (this one is some 6 KB), the spare head and the first: after the fourth it is done.
@pytest.mark.parametrize("write", [1, *(pytest.param(n, marks=pytest.mark.full) for n in (2, 3, 4))])
def test_power_cut_in_the_middle(lab, write):
    """The host loses power after a write of the change: the others have the old or the new, whole, and once the host is
    back, and so its lease is dead, change it again."""
    host = lab.others(lab.vm_host())[0]
    other = lab.others(host)[0]
    lab.operator(other, "--set-shared-config", "ca_subject", "old", "--type=he_shared")
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
               f"inject=pwrite64:signal=SIGSTOP:when={write}",
               "hosted-engine", "--set-shared-config", "ca_subject", "new", "--type=he_shared"]
    cut = threading.Thread(target=lambda: lab.run(host, *command, timeout=60, check=False))
    cut.start()
    stopped = "ps -eo stat,comm | grep -q '^[tT].* hosted-engine$'"
    poll(lambda: lab.run(host, "sh", "-c", stopped, check=False).returncode == 0, 30, "the write did not come")
    lab.kill(host)
    cut.join(60)
    assert shared(lab, other, "ca_subject", "he_shared") in ("old", "new")
    assert "<domain" in lab.run(other, "cat", "/run/ovirt-hosted-engine-ha/vm.conf").stdout
    refused = lab.operator(other, "--set-shared-config", "ca_subject", "late", "--type=he_shared", check=False)
    assert refused.returncode == 1 and "its lease could not be had" in refused.stderr and not refused.stdout
    lab.boot(host)
    lab.wait_well(UP_SECONDS)
    lab.operator(other, "--set-shared-config", "ca_subject", "late", "--type=he_shared")
    assert shared(lab, host, "ca_subject", "he_shared") == "late"


def stop(lab, *hosts):
    for host in hosts:
        lab.run(host, "systemctl", "stop", "ovirt-ha-agent", "ovirt-ha-broker")
    for host in hosts:
        lab.wait(f"lockspace@{host}=none", 30)


def start(lab, *hosts):
    for host in hosts:
        lab.run(host, "systemctl", "start", "ovirt-ha-broker", "ovirt-ha-agent", timeout=60)


def refused(lab, host, why, *command):
    done = lab.operator(host, *command, check=False)
    assert done.returncode == 1 and why in done.stderr and not done.stdout, done.stdout + done.stderr


def test_repairs_are_refused(lab):
    """While somebody could be harmed; a host that has left is forgotten."""
    before, vm_host = lab.qemu(), lab.vm_host()
    gone, other = lab.others(vm_host)
    refused(lab, other, "ovirt-ha-broker runs on this host", "--reinitialize-lockspace", "--force")
    refused(lab, other, "ovirt-ha-broker runs on this host", "--clean-metadata")
    refused(lab, other, "give 1 to 2000", "--clean-metadata", "--host-id=0")
    refused(lab, other, "did not stop cleanly", "--clean-metadata", f"--host-id={gone}")
    refused(lab, other, f"host id {gone} is in use", "--clean_metadata", f"--host-id={gone}", "--force-clean")
    stop(lab, gone)
    refused(lab, gone, "not in global maintenance", "--reinitialize-lockspace")
    refused(lab, gone, "is in use", "--reinitialize-lockspace", "--force")
    lab.operator(other, "--clean-metadata", f"--host-id={gone}")
    poll(lambda: f"Host {gone}" not in (text := lab.operator(vm_host, "--vm-status").stdout) and
         f"(id: {gone})" not in text, 20, "the others remember the host")
    start(lab, gone)
    lab.wait_well(UP_SECONDS)
    assert lab.stays(before)


@pytest.mark.parametrize("part, offset", [
    ("leases", lab_storage.ALIGNMENTS[512]), pytest.param("lockspace", 0, marks=pytest.mark.full)])
def test_damaged_lockspace_is_made_anew(lab, part, offset):
    """The leases of block 0 and of the conf volume, or the host ids, are noise; the cluster comes back with all of them."""
    lab.operator(1, "--set-maintenance", "--mode=global")
    lab.vm("poweroff")
    lab.wait("vm=none && lease=none", 30)
    stop(lab, *lab.keys())
    with open(lab_storage.device(lab.lab, part), "r+b", buffering=0) as storage:
        storage.seek(offset)
        storage.write(b"noise..." * 512)
    lab.run(1, "hosted-engine", "--reinitialize-lockspace", timeout=100)
    start(lab, *lab.keys())
    lab.wait(" && ".join(f"lockspace@{host}=joined" for host in lab.keys()), 60)
    lab.operator(1, "--set-maintenance", "--mode=none")
    lab.wait_well(UP_SECONDS)
    lab.operator(2, "--set-shared-config", "ca_subject", part, "--type=he_shared")
    assert shared(lab, 3, "ca_subject", "he_shared") == part
