# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself, without the project's daemons: hosts boot, faults fire, sanlock and libvirt do as the design
relies on. When one of these fails, the cases of the daemons prove nothing.
"""
import json
import os
import subprocess

import pytest

import lab_config
import lab_status
from lab_driver import LAB
from lab_place import LabError, call


def start_engine(lab, host=1):
    lab.join(*lab.keys())
    lab.create(host)
    lab.wait(f"vm=up@{host} && http=ok && lease={host}", 30)


def test_lease_held_by_one_host_alone(bare_lab):
    start_engine(bare_lab)
    refused = bare_lab.create(2, check=False)
    assert refused.returncode != 0 and "held by another host" in refused.stderr
    bare_lab.vm("kill")
    bare_lab.wait("vm=none && lease=none", 10)
    bare_lab.create(2)
    bare_lab.wait("vm=up@2 && http=ok && lease=2", 30)
    assert bare_lab.vm_host() == "2"


def test_renewals_of_all_hosts_last(bare_lab):
    # Hosts share sectors of one page: a path that wrote more than its own sector would undo a renewal.
    start_engine(bare_lab)
    for host in bare_lab.keys():
        bare_lab.run(host, "sh", "-c", "end=$(($(date +%s) + 8)); while [ $(date +%s) -lt $end ]; do "
                     "sanlock client status >/dev/null; sleep 0.5; done")
        assert not bare_lab.run(host, "sh", "-c", "grep -E 'mismatch|corrupt|renewal error' /var/log/sanlock.log || :"
                                ).stdout
    assert bare_lab.holds("vm=up@1 && lockspace@1=joined && lockspace@2=joined && lockspace@3=joined")


def test_power_cut_and_reboot(bare_lab):
    start_engine(bare_lab)
    bare_lab.run(1, "touch", "/root/kept")
    bare_lab.kill(1)
    assert bare_lab.holds("host@1=off && vm=none && lease=1 && http=none")
    bare_lab.boot(1)
    assert bare_lab.holds("host@1=up && lockspace@1=none")
    bare_lab.run(1, "test", "-e", "/root/kept")
    # The same host again: its old lease is of an earlier generation and free at once.
    bare_lab.join(1)
    bare_lab.create(1)
    bare_lab.wait("vm=up@1 && http=ok", 30)
    assert bare_lab.status()["lease"]["generation"] == 2


@pytest.mark.lab("-n", "2")
def test_hung_storage_of_one_host(bare_lab):
    start_engine(bare_lab)
    bare_lab.storage(1, "hang")
    bare_lab.wait("vm=none", 20)
    assert bare_lab.holds("lockspace@2=joined")
    bare_lab.storage(1, "ok")
    bare_lab.wait("lockspace@1=none", 10)
    bare_lab.run(1, "dd", "if=/srv/storage/metadata", "of=/dev/null", "bs=4096", "count=1", "iflag=direct")


@pytest.mark.lab("-n", "2")
def test_cut_network_leaves_the_bridge_its_carrier(bare_lab):
    start_engine(bare_lab)
    bare_lab.net(1, "down")
    assert bare_lab.run(1, "ping", "-c", "1", "-W", "1", "switch", check=False).returncode != 0
    assert bare_lab.run(1, "cat", "/sys/class/net/br0/carrier").stdout.strip() == "1"
    assert bare_lab.holds("http=none && vm=up@1")
    bare_lab.net(1, "up")
    bare_lab.wait("http=ok", 15)
    bare_lab.run(1, "ping", "-c", "1", "-W", "2", "h2")


@pytest.mark.lab("-n", "1")
@pytest.mark.parametrize("command, event", [
    ("poweroff", "Stopped Shutdown"), ("panic", "Stopped Crashed"), ("kill", "Stopped Failed")])
def test_libvirt_tells_how_the_guest_ended(bare_lab, command, event):
    start_engine(bare_lab)
    bare_lab.run(1, "sh", "-c", "setsid -f timeout 60 virsh event --loop --event lifecycle >/root/events 2>&1")
    bare_lab.wait("vm=up", 1)
    bare_lab.vm(command)
    bare_lab.wait("vm=none && lease=none", 10)
    bare_lab.run(1, "timeout", "5", "sh", "-c", f"until grep '{event}' /root/events; do sleep 0.1; done")


@pytest.mark.lab("-n", "1")
def test_guest_lives_without_its_engine(bare_lab):
    start_engine(bare_lab)
    bare_lab.vm("engine-stop")
    bare_lab.wait("http=none", 15)
    bare_lab.vm("engine-start")
    bare_lab.wait("http=ok", 15)
    bare_lab.run(1, "virsh", "-q", "shutdown", "HostedEngine")
    bare_lab.wait("vm=none", 20)


@pytest.mark.lab("-n", "1")
def test_silent_crash_leaves_qemu_there(bare_lab):
    start_engine(bare_lab)
    bare_lab.vm("crash")
    bare_lab.wait("http=none", 15)
    assert bare_lab.holds("vm=up@1 && lease=1")
    last = bare_lab.witness.ticks[-1]
    assert bare_lab.run(1, "virsh", "-q", "domstate", "HostedEngine").stdout.strip() == "running"
    assert bare_lab.witness.ticks[-1] == last


@pytest.mark.lab("-n", "2")
def test_clone_has_the_same_host_id_and_its_own_machine(bare_lab):
    bare_lab.command("clone", 1)
    for file, same in (("/etc/hostname", True), ("/etc/ovirt-hosted-engine/hosted-engine.conf", True),
                       ("/etc/machine-id", False), ("/etc/libvirt/libvirtd.conf", False)):
        texts = [bare_lab.run(host, "cat", file).stdout for host in ("1", "1c")]
        assert (texts[0] == texts[1]) == same, file
    # Its name in sanlock differs too, so it doesn't get the host id while the first host lives.
    bare_lab.join(1, 2)
    bare_lab.create(2)
    refused = bare_lab.run("1c", "timeout", "15", "sanlock", "client", "add_lockspace", "-s",
                           "hosted-engine:1:/srv/storage/lockspace:0", "-o", "1", check=False)
    assert refused.returncode != 0
    bare_lab.wait("lockspace@1=joined && !lockspace@1c=joined && vm=up@2 && http=ok", 30)


@pytest.mark.lab("-n", "2")
def test_load_and_memory_of_one_host(bare_lab):
    def load(host):
        first, second = [[int(word) for word in bare_lab.run(
            host, "sh", "-c", f"sleep {seconds}; head -n 1 /proc/stat").stdout.split()[1:]] for seconds in (0, 3)]
        total = sum(second) - sum(first)
        return 100 * (total - (second[3] - first[3])) / total

    bare_lab.command("cpu", 1, 90)
    bare_lab.command("memfree", 1, 100)
    bare_lab.run(1, "sleep", "2")
    assert load(1) > 80 and load(2) < 20
    assert "MemAvailable:     102400 kB" in bare_lab.run(1, "cat", "/proc/meminfo").stdout
    assert "MemAvailable:     102400 kB" not in bare_lab.run(2, "cat", "/proc/meminfo").stdout
    start_engine(bare_lab)


def test_up_over_what_a_crash_left(bare_lab):
    assert "is up already" in bare_lab.command("up", "--no-project", check=False).stderr
    start_engine(bare_lab)
    bare_lab.lab.save({**bare_lab.lab.settings(), "ready": False})
    bare_lab.up("--no-project", "-n", "1")
    assert bare_lab.keys() == ["1"] and bare_lab.holds("vm=none && lease=none")


def remains(name):
    mounts = open("/proc/self/mountinfo").read().count(f"ovirt-ha-lab/{name}/")
    spaces = subprocess.run(["ip", "netns"], stdout=subprocess.PIPE, text=True).stdout.count(f"ovha.{name}.")
    loops = subprocess.run(["losetup", "-l"], stdout=subprocess.PIPE, text=True).stdout.count(f"ovirt-ha-lab/{name}/")
    groups = sum(f"ovha.{name}." in line for folder, _, _ in os.walk("/sys/fs/cgroup") for line in [folder])
    return {"mounts": mounts, "namespaces": spaces, "loop devices": loops, "cgroups": groups,
            "folder": int(os.path.exists(f"/run/ovirt-ha-lab/{name}"))}


@pytest.mark.lab("-n", "2")
def test_down_leaves_nothing(bare_lab):
    start_engine(bare_lab)
    bare_lab.storage(2, "hang")
    there = remains(bare_lab.lab.name)
    assert all(there.values()), f"the check itself is blind: {there}"
    bare_lab.wait("vm=up", 1)
    bare_lab.down()
    assert not any(remains(bare_lab.lab.name).values())


def test_words_about_a_lab_that_is_not_up():
    done = subprocess.run([LAB, "--name", "nobody", "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    assert done.returncode == 1
    assert done.stderr == "lab: lab 'nobody' is not up: run tools/lab --name nobody up\n"


def test_output_that_is_no_text():
    # sanlock shows memory that nobody wrote where it could not read a lease.
    assert call("printf", r"magic\377\n") == "magic\N{REPLACEMENT CHARACTER}\n"


class Seen:
    """An observation with fixed facts."""

    def __init__(self, **facts):
        self.facts, self.lab = facts, self

    def host(self, key):
        return type("Host", (), {"key": key, "host_id": int(key), "pid1": lambda _: 1})()

    def engine(self):
        return self.facts.get("engine", {})

    def lease(self):
        return self.facts.get("lease")

    def whiteboard(self):
        return self.facts.get("board")

    def record(self, host):
        return None if self.whiteboard() is None else self.whiteboard().get(host.key, {})


BOARD = {"0": {"maintenance": True},
         "1": {"host-ts": 5, "score": 2400, "engine-status": {"vm": "up", "health": "good"}, "maintenance": False,
               "extra": "metadata_parse_version=1\nstate=EngineUp\n"}, "2": {"error": "bad crc"}}


@pytest.mark.parametrize("condition, expected", [
    ("vm=up@1", True), ("vm=up@2", False), ("!vm=up@2", True), ("vm=none", False), ("vm=up && !vm=up@2", True),
    ("lease=3", True), ("lease=none", False), ("score@1<2401", True), ("score@1<=2400", True),
    ("score@1>2400", False), ("score@1=2400", True), ("state@1=EngineUp", True), ("!state@1=EngineUp", False),
    ("health@1=good", True), ("maintenance@1=false", True), ("global=true", True),
    ("score@2>0", False), ("!score@2>0", False), ("state@3=none", True)])
def test_conditions(condition, expected):
    seen = Seen(engine={77: "1"}, lease={"owner": 3}, board=json.loads(json.dumps(BOARD)))
    assert lab_status.holds(seen, lab_status.parse(condition))[0] == expected


@pytest.mark.parametrize("condition", ["", "vm", "vm=up@1 & lease=1", "state=EngineUp", "colour@1=red"])
def test_conditions_that_are_none(condition):
    with pytest.raises(LabError):
        lab_status.holds(Seen(engine={}, board={}), lab_status.parse(condition))


@pytest.mark.parametrize("text, key, expected", [
    ("", "a", "a=1\n"), ("a=0\n", "a", "a=1\n"), ("# a=0\n[s]\na=5\n", "a", "a=1\n# a=0\n[s]\na=5\n"),
    ("[s]\nb=2\n", "s.a", "[s]\na=1\nb=2\n"), ("[s]\na = 2\n", "s.a", "[s]\na=1\n"), ("[t]\na=2\n", "s.a",
                                                                               "[t]\na=2\n[s]\na=1\n")])
def test_override_of_one_key(text, key, expected):
    assert lab_config.override(text, key, "1") == expected
