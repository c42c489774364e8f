# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operator can get wrong: configuration, and storage, sanlock and libvirt that are not there when the
daemons start. What can heal is waited for by daemons that are ready, say once what is wrong and where, and show it
in `systemctl status` and --vm-status; else they exit with 2 and name file, line, key and value."""
import collections
import os
import re
import subprocess

import pytest

from lab_driver import poll

CONF = "/etc/ovirt-hosted-engine/hosted-engine.conf"
GOOD = """vmid=3f2b8c1e-0d5a-4c6f-9b7e-2a1d8e4f5c60
host_id=1
lockspace_path=/nowhere/lockspace
metadata_path=/nowhere/metadata
lease_path=/nowhere/leases
gateway=192.0.2.1
vm_xml=/nowhere/vm.xml
"""
DAEMONS = ("broker/ovirt-ha-broker", "daemon/ovirt-ha-agent", "daemon/ovirt-ha-guard")


@pytest.fixture
def place(request, tmp_path):
    """Runs a daemon with configuration of its own; files: name -> text."""
    build = request.config.getoption("--build")

    def run(daemon, files, *options):
        for name, folder in (("hosted-engine.conf", "ovirt-hosted-engine"), ("agent.conf", "ovirt-hosted-engine-ha"),
                             ("broker.conf", "ovirt-hosted-engine-ha")):
            os.makedirs(tmp_path / folder, exist_ok=True)
            if name in files:
                (tmp_path / folder / name).write_bytes(files[name].encode())
        environment = {"PATH": os.environ["PATH"], "OVIRT_HA_CONF_DIR": str(tmp_path),
                       "OVIRT_HA_STATE_DIR": str(tmp_path), "OVIRT_HA_RUN_DIR": str(tmp_path)}
        return subprocess.run([f"{build}/{daemon}", *options], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    return run


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("file, text, said", [
    ("hosted-engine.conf", GOOD + "hostid=3\n", ":8: hostid=3: is unknown; did you mean host_id?"),
    ("hosted-engine.conf", GOOD.replace("vmid=3f", "vmid=xf"), ":1: vmid=xf2b8c1e-"),
    ("hosted-engine.conf", GOOD.replace("host_id=1", "host_id=2001"), ":2: host_id=2001: is too large; give "),
    ("hosted-engine.conf", GOOD.replace("192.0.2.1", "no.such.host"), ":6: gateway=no.such.host: is not an IP "),
    ("hosted-engine.conf", GOOD + "fqdn=h\033]0;x\007\n", ":8: holds a control character; remove it"),
    ("hosted-engine.conf", GOOD.replace("/metadata", "/m:9223372036854775296"), ":4: metadata_path=/nowhere/m:92"),
    ("agent.conf", "[policy]\nloop=0\n", ":2: loop=0: is too small; give "),
    ("broker.conf", "[monitor]\nnetwork_probes=3\n", "[monitors]?"),
], ids=range(8))
def test_a_wrong_line(place, daemon, file, text, said):
    done = place(daemon, {"hosted-engine.conf": GOOD, file: text}, "-n")
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and f"{file}:" in lines[0] and said in lines[0] and lines[0].isprintable(), done.stderr
    if "guard" not in daemon:  # it waits for a file that it understands
        done = place(daemon, {})
        assert done.returncode == 2 and said in done.stderr, done.stderr


@pytest.mark.parametrize("daemon", DAEMONS[:2])
def test_no_file_and_no_vm(place, daemon):
    done = place(daemon, {})
    assert done.returncode == 2 and "hosted-engine.conf: does not exist; this host is not deployed" in done.stderr
    done = place(daemon, {"hosted-engine.conf": ""})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "vmid: is missing" in done.stderr


@pytest.mark.parametrize("value", ["-1", "99999999999999999999"])
@pytest.mark.parametrize("file", ["agent.conf", "broker.conf"])
def test_every_number_out_of_its_range(place, request, file, value):
    with open(f"{os.path.dirname(__file__)}/../../conf/{file}") as conf:
        text = re.sub(r"(?m)^# .* \((?:whole number, )?-?\d.* to .*\)\n#([\w-]+)=.*$", rf"\1={value}", conf.read())
    keys = re.findall(rf"(?m)^([\w-]+)={value}$", text)
    assert len(keys) > 8
    done = place(DAEMONS[0], {"hosted-engine.conf": GOOD, file: text}, "-n")
    assert done.returncode == 2
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith(f"={value}"):
            assert f"{file}:{number}: {line}: is too {'small' if value == '-1' else 'large'}; give " in done.stderr


def restart(lab, host):
    lab.run(host, "systemctl", "restart", "ovirt-ha-broker", "ovirt-ha-agent", timeout=60)


def journal(lab, host, since):
    return lab.run(host, "journalctl", "-q", "-o", "cat", f"--since=@{since}", "-u", "ovirt-ha-broker", "-u",
                   "ovirt-ha-agent").stdout.splitlines()


def told(lab, host, since, logged, shown, seconds=20):
    """Both daemons run, ready; the journal has the words, STATUS= and --vm-status too; nothing is said all the time."""
    def texts():
        return "\n".join(lab.run(host, "systemctl", "show", "-p", "StatusText", f"ovirt-ha-{name}").stdout
                         for name in ("broker", "agent"))
    poll(lambda: any(logged in line for line in journal(lab, host, since)), seconds, f"not logged: {logged}")
    poll(lambda: shown in texts(), seconds, f"not in STATUS=: {shown}")
    for unit in ("broker", "agent"):
        assert lab.holds(f"{unit}@{host}=active")
    if "broker" not in shown:
        assert shown in lab.operator(host, "--vm-status", check=False).stdout
    often = collections.Counter(journal(lab, host, since)).most_common(1)[0]
    assert often[1] <= 3, f"said {often[1]} times: {often[0]}"


@pytest.mark.lab("-n", "2")
def test_what_can_heal_is_waited_for(lab):
    host = lab.others(lab.vm_host())[0]
    lab.run(host, "cp", CONF, "/root/good.conf")
    before = lab.run(host, "sha256sum", "/srv/storage/lockspace").stdout

    def fault(edit, logged, shown):
        since = lab.run(host, "date", "+%s.%N").stdout.strip()
        lab.run(host, "sh", "-c", f"cp /root/good.conf {CONF}; {edit}")
        restart(lab, host)
        told(lab, host, since, logged, shown)

    fault(f"sed -i s,^metadata_path=.*,metadata_path=/srv/storage/nothing, {CONF}",
          "whiteboard can't be read, tried again: No such file or directory metadata_path=/srv/storage/nothing",
          "metadata_path=/srv/storage/nothing")
    fault(f"sed -i s,^metadata_path=.*,metadata_path=/srv/storage, {CONF}",
          "Is a directory metadata_path=/srv/storage", "metadata_path=/srv/storage")
    fault(f"cp /srv/storage/metadata /srv/copy; chmod 444 /srv/copy; sed -i s,^metadata_path=.*,metadata_path=/srv/copy, "
          f"{CONF}", "Permission denied metadata_path=/srv/copy", "metadata_path=/srv/copy")
    fault(f"sed -i s,^lockspace_path=.*,lockspace_path=/srv/storage/nothing, {CONF}",
          "lockspace_path=/srv/storage/nothing", "lockspace_path=/srv/storage/nothing")
    fault(f"sed -i s,^lockspace_name=.*,lockspace_name=other, {CONF}",
          "belongs to another domain", "belongs to another domain")
    fault(f"sed -i s,^sdUUID=.*,sdUUID=11111111-2222-4333-8444-555555555555, {CONF}",
          "the whiteboard belongs to another domain", "the whiteboard belongs to another domain")
    joined = lab.command("wait", f"lockspace@{host}=joined", "--timeout", 8, timeout=60, check=False)
    assert joined.returncode == 1 and "not within" in joined.stderr, "the lockspace of another domain was joined"
    fault(f"sed -i s,^lease_path=.*,lease_path=/srv/storage/nothing, {CONF}",
          "engine lease can't be read", "lease_path=/srv/storage/nothing")
    other = lab.others(host)[0]
    fault(f"sed -i s,^host_id=.*,host_id={other}, {CONF}",
          "our host_id is used by another host", "our host_id is used by another host")
    fault("systemctl mask --runtime sanlock; systemctl stop ovirt-ha-broker ovirt-ha-agent; systemctl kill -s KILL sanlock",
          "sanlock does not answer", "sanlock does not answer")
    lab.run(host, "systemctl", "unmask", "--runtime", "sanlock")
    lab.run(host, "systemctl", "start", "sanlock", timeout=60)
    lab.wait_well(60)
    assert lab.run(host, "sha256sum", "/srv/storage/lockspace").stdout.split()[1] == before.split()[1]


@pytest.mark.lab("-n", "2")
def test_noise_on_the_whiteboard_and_in_the_ipc(lab):
    host = lab.others(lab.vm_host())[0]
    # Hosts 5 to 9: noise, a name that would drive a terminal, and no end of fields.
    noise = ("import os; f = os.open('/srv/storage/metadata', os.O_RDWR); os.pwrite(f, os.urandom(4096), 5 * 4096);"
             "os.pwrite(f, b'1|1|5|6|3400|{}|\\x1b]0;x\\x07h|0|0'.ljust(4096, b'\\0'), 6 * 4096);"
             "os.pwrite(f, b'|' * 4096, 7 * 4096); os.pwrite(f, b'\\xff' * 4096, 8 * 4096);"
             "os.pwrite(f, b'{' * 4096, 9 * 4096)")
    since = lab.run(host, "date", "+%s.%N").stdout.strip()
    lab.run(host, "/usr/bin/python3", "-c", noise)
    restart(lab, host)
    lab.wait_well(60)
    shown = lab.operator(host, "--vm-status").stdout
    assert all(f"(id: {number})" in shown for number in (5, 7, 8, 9)), shown
    assert "\033" not in shown and "\007" not in shown
    # libqb fills an abstract name up with NULs; it may hang up before all is sent, but not refuse to connect.
    rubbish = ("import socket, os\nfor i in range(50):\n s = socket.socket(socket.AF_UNIX)\n"
               " s.connect(b'\\0ovirt-ha-broker'.ljust(108, b'\\0'))\n"
               " try: s.sendall(os.urandom(4 * i))\n except OSError: pass\n s.close()")
    lab.run(host, "/usr/bin/python3", "-c", rubbish)
    assert lab.operator(host, "--vm-status").returncode == 0
    often = collections.Counter(journal(lab, host, since)).most_common(1)[0]
    assert often[1] <= 3, f"said {often[1]} times: {often[0]}"


@pytest.mark.lab("-n", "2")
def test_two_of_each(lab):
    host = lab.others(lab.vm_host())[0]
    folder = lab.run(host, "systemctl", "show", "-p", "ExecStart", "ovirt-ha-broker").stdout
    folder = os.path.dirname(re.search(r"path=(\S+)", folder).group(1))
    for name, said in (("broker", "another ovirt-ha-broker runs"), ("guard", "another ovirt-ha-guard runs")):
        second = lab.run(host, "timeout", "5", f"{folder}/ovirt-ha-{name}", "-f", check=False)
        assert second.returncode == 1 and said in second.stderr
    second = lab.run(host, "timeout", "5", f"{folder}/ovirt-ha-agent", "-f", check=False)
    assert "another agent" in second.stderr, second.stderr
    lab.wait_well(30)
