# SPDX-License-Identifier: LGPL-2.1-or-later
"""The userspace way to storage: each host's own qemu-storage-daemon, by the project's unit, whose files carry lockspace,
leases and whiteboard. One that stood still when the lease was lost is ended before the host joins again (safety rule 13).
"""
import json

import lab_storage
import pytest
from conftest import PACE, finish, lab_name, make_lab
from lab_driver import poll
from lab_place import STORAGE_ADDRESS, Lab
from storage_servers import CHAP_PASSWORD, CHAP_USER, IQN, IscsiServer
from witness import Witness

IO_TIMEOUT = 3
PLACES = {"lockspace_path": "lockspace", "lease_path": "leases", "metadata_path": "metadata", "conf_path": "conf"}
PID_FILE = "/run/ovirt-ha-storage-daemon.pid"


def unit(lab):
    return f"ovirt-ha-storage-daemon@{lab.lab.domain_uuid}.service"


def settings(kind, domain):
    """hosted-engine.conf's keys: a LUN or a file for each part, as the lab's server has them; the VM's disk stays the lab's."""
    numbers = {name: number for number, name in enumerate(lab_storage.FILES, 1)}
    if kind == "gluster":
        keys, file = {"domainType": "glusterfs", "storage": f"{STORAGE_ADDRESS}:/storage"}, "{name}"
    else:
        keys, file = {"domainType": "iscsi", "storage": STORAGE_ADDRESS, "port": IscsiServer.port, "iqn": f"{IQN}:storage",
                      "lun": 1, "user": CHAP_USER, "password": CHAP_PASSWORD}, "lun-{number}"
    keys |= {"storage_driver": "userspace", **{key: f"/run/ovirt-ha-storage/{domain}/" + file.format(
        name=name, number=numbers[name]) for key, name in PLACES.items()}}
    return [word for key, value in keys.items() for word in ("--set", f"he.{key}={value}")]


def daemon_pid(lab, host):
    return int(lab.run(host, "cat", PID_FILE).stdout)


def pid_now(lab, host):
    """0: there is none at the moment."""
    return int(lab.run(host, "cat", PID_FILE, check=False).stdout or 0)


@pytest.fixture
def lab(request, worker):
    kind, domain = request.param, Lab(lab_name(worker)).domain_uuid
    driver, witness = make_lab(request, worker, *PACE, "-n", "2", "--storage", kind, "--io-timeout", IO_TIMEOUT,
                               *settings(kind, domain)), None
    try:
        for host in driver.keys():
            driver.run(host, "systemctl", "start", unit(driver))
        driver.witness = witness = Witness(driver.lab).start()
        driver.wait_well(90)
    except BaseException:
        request.node.case_failed = True
        finish(request, driver, witness)
        raise
    yield driver
    finish(request, driver, witness)


def said_at(lab, host, identifier, text):
    """When the host's journal last had such a line, in us; 0: never."""
    lines = lab.run(host, "journalctl", "-q", "-t", identifier, "-o", "json").stdout.splitlines()
    return max((int(line["__REALTIME_TIMESTAMP"]) for line in map(json.loads, lines) if text in str(line["MESSAGE"])),
               default=0)


@pytest.mark.parametrize("lab", ["iscsi"], indirect=True)
def test_ended_before_the_host_joins_again(lab):
    host, before = lab.vm_host(), lab.qemu()
    held = daemon_pid(lab, host)
    words = lab.run(host, "cat", f"/proc/{held}/cmdline").stdout
    assert "qemu-storage-daemon" in words and CHAP_PASSWORD not in words
    lab.run(host, "systemctl", "kill", "--signal=STOP", unit(lab))
    poll(lambda: not set(before) & set(lab.qemu()), 8 * IO_TIMEOUT + 30, "the VM outlives its lease")
    poll(lambda: said_at(lab, host, "ovirt-ha-guard", "storage daemon killed"), 30, "the storage daemon lives on")
    lab.wait_well(120)
    assert daemon_pid(lab, host) != held
    assert lab.run(host, "test", "-e", f"/proc/{held}", check=False).returncode != 0
    assert said_at(lab, host, "ovirt-ha-guard", "storage daemon killed") < \
        said_at(lab, host, "ovirt-ha-broker", "lockspace join host_id")
    # Stopped with its files in use it leaves none, which could be taken for storage, and no mount.
    folder = f"/run/ovirt-ha-storage/{lab.lab.domain_uuid}"
    lab.run(host, "systemctl", "stop", unit(lab))
    assert lab.run(host, "ls", folder).stdout == ""
    assert lab.run(host, "grep", "-c", folder, "/proc/self/mounts", check=False).stdout == "0\n"


@pytest.mark.full
@pytest.mark.parametrize("lab", ["gluster"], indirect=True)
def test_all_bricks_were_gone(lab):
    # QEMU's client of Gluster does not come back (test_storage); the daemon that has it is ended before each join, and the next
    # one has another.
    before, held = lab.qemu(), [daemon_pid(lab, host) for host in lab.keys()]
    lab.storage("server", "stop")
    poll(lambda: not set(before) & set(lab.qemu()), 8 * IO_TIMEOUT + 30, "the VM outlives its lease")
    lab.storage("server", "start")
    poll(lambda: all(pid_now(lab, host) not in (0, pid) for host, pid in zip(lab.keys(), held)), 120, "a storage daemon lives on")
    lab.wait(" && ".join(f"lockspace@{host}=joined" for host in lab.keys()), 120)
