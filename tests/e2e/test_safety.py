# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hands and accidents do to the lease and to libvirt behind the daemons' back. The witness has the last word
in each case: never two together."""
import re

import pytest

import lab_storage
from lab_driver import poll

QUICK = ("--set", "agent.policy.loop=2", "--set", "agent.policy.paused=10")


def without_disk(text):
    begin, end = text.index("<disk"), text.index("</disk>") + len("</disk>")
    return text[:begin] + text[end:]


def test_start_by_hand_without_lease_is_refused(lab):
    # Rule 1: libvirt itself looks at leases of disks alone; a domain without one is the hook's to refuse.
    host, before = lab.vm_host(), lab.qemu()
    for other in lab.others(host):
        refused = lab.create(other, check=False, lease=False, edit=without_disk)
        assert refused.returncode != 0, refused.stdout
    assert lab.stays(before)


@pytest.mark.lab(*QUICK)
def test_suspended_by_hand_and_left(lab):
    # Rule 11: a paused VM is ended after its time, then started as any. Whether it still has its lease is no
    # part of it: sanlock refuses libvirt's release while it answers another question about the same QEMU.
    host, before = lab.vm_host(), lab.qemu()
    lab.run(host, "virsh", "-q", "suspend", "HostedEngine")
    # By its time of 10 s: later, others take the lease, and that ends it too.
    poll(lambda: not set(before) & set(lab.qemu()), 25, "the paused VM is still there")
    lab.wait("vm=up && http=ok && !lease=none", 90)
    assert not set(before) & set(lab.qemu())


@pytest.mark.lab(*QUICK)
def test_resumed_by_hand_after_sanlock_forgot_it(lab):
    # Rules 3 and 4: after a restart of sanlock libvirt would resume it without a lease and without an error.
    host, before = lab.vm_host(), lab.qemu()
    lab.run(host, "sh", "-c", "kill -9 $(pidof sanlock); systemctl restart sanlock; "
            "virsh -q resume HostedEngine; :", timeout=60)
    lab.wait("vm=up && http=ok && !lease=none", 130)
    assert not set(before) & set(lab.qemu())


@pytest.mark.lab(*QUICK)
def test_lease_rewritten_under_the_holder(lab):
    # Rule 3: a holder does not notice by itself.
    before, device = lab.qemu(), lab_storage.device(lab.lab, "leases")
    lab_storage.sanlock_direct(lab.lab, "init", "-r", f"{lab_storage.LOCKSPACE}:engine:{device}:0")
    lab.wait("lease=none", 5)
    lab.wait("vm=up && http=ok && !lease=none", 90)
    assert not set(before) & set(lab.qemu())


@pytest.mark.lab("-n", "2", *QUICK)
def test_clone_of_a_host_stays_out(lab):
    # Rule 8: same name and id, another machine.
    host, before = lab.vm_host(), lab.qemu()
    lab.command("clone", host, timeout=120)
    joined = lab.command("wait", f"lockspace@{host}c=joined", "--timeout", 30, timeout=60, check=False)
    assert joined.returncode == 1, "the clone joined under the host's id"
    assert lab.stays(before) and lab.holds(f"vm=up@{host} && lockspace@{host}=joined && http=ok")


@pytest.mark.lab("-n", "2", *QUICK)
def test_noise_in_the_own_block(lab):
    # What was not understood is not overwritten: the host says so and stays out, and hides no other.
    host, before = lab.vm_host(), lab.qemu()
    other = lab.others(host)[0]
    block = f"dd if=/srv/storage/metadata bs=4096 skip={other} count=1 iflag=direct status=none | cmp - /root/noise"
    lab.kill(other)
    lab.boot(other)
    lab.run(other, "systemctl", "stop", "ovirt-ha-agent", "ovirt-ha-broker", timeout=60)
    lab.run(other, "sh", "-c", "head -c 4096 /dev/urandom >/root/noise; dd if=/root/noise of=/srv/storage/metadata "
            f"bs=4096 seek={other} oflag=direct conv=notrunc")
    lab.run(other, "systemctl", "start", "ovirt-ha-broker", "ovirt-ha-agent", timeout=60)
    lab.command("wait", f"lockspace@{other}=joined", "--timeout", 15, timeout=60, check=False)
    assert lab.holds(f"lockspace@{other}=none && vm=up@{host} && http=ok && score@{host}=3400")
    lab.run(other, "sh", "-c", block)
    said = lab.run(other, "journalctl", "-q", "--no-pager", "-u", "ovirt-ha-broker").stdout
    assert "is not overwritten" in said
    assert lab.stays(before)


CONF, XML = "/etc/ovirt-hosted-engine/hosted-engine.conf", "/etc/ovirt-hosted-engine/vm.xml"


def shell(lab, host, script, timeout=60):
    return lab.run(host, "sh", "-ec", script, timeout=timeout)


def journal(lab, host, unit):
    return lab.run(host, "journalctl", "-q", "--no-pager", "-u", unit).stdout


@pytest.mark.lab("-n", "2", *QUICK)
def test_parts_of_two_storages_are_not_joined(lab):
    # Rule 8: two filesystems in memory stand for those of two domains.
    host, before = lab.vm_host(), lab.qemu()
    other = lab.others(host)[0]
    shell(lab, other, "systemctl stop ovirt-ha-agent ovirt-ha-broker; truncate -s 9M /dev/shm/disk; "
          "cp /srv/storage/metadata /run/metadata; chown ovirt-ha /run/metadata; "
          f"cp {CONF} {CONF}.right; sed -i 's|^metadata_path=.*|metadata_path=/run/metadata|; "
          f"s|^disk_path=.*|disk_path=/dev/shm/disk|' {CONF}; systemctl start ovirt-ha-broker ovirt-ha-agent")
    poll(lambda: "not one storage domain" in journal(lab, other, "ovirt-ha-broker"), 15, "nothing is said")
    lab.command("wait", f"lockspace@{other}=joined", "--timeout", 8, timeout=60, check=False)
    assert lab.holds(f"lockspace@{other}=none && vm=up@{host} && http=ok")
    said = lab.operator(other, "--vm-status", check=False).stdout
    assert "metadata_path=/run/metadata is on tmpfs" in said and "disk_path=/dev/shm/disk" in said, said
    shell(lab, other, f"mv {CONF}.right {CONF}; systemctl restart ovirt-ha-broker ovirt-ha-agent")
    lab.wait(f"lockspace@{other}=joined && score@{other}>0", 60)
    assert lab.stays(before)


@pytest.mark.lab("-n", "1", *QUICK)
def test_disk_of_another_domain_is_not_started(lab):
    host = lab.vm_host()
    shell(lab, host, f"truncate -s 64M /run/ours /run/theirs; cp {CONF} {CONF}.right; cp {XML} {XML}.right; "
          f"sed -i 's|^disk_path=.*|disk_path=/run/ours|' {CONF}; sed -i \"s|<disk type='block'|<disk type='file'|; "
          f"s|<source dev='/dev/lab-disk'/>|<source file='/run/theirs'/>|\" {XML}; systemctl restart ovirt-ha-agent")
    lab.wait(f"state@{host}=EngineUp", 60)
    lab.vm("kill")
    poll(lambda: "disk_path=/run/ours is none of its writable disks" in journal(lab, host, "ovirt-ha-agent"), 90,
         "no start was refused")
    assert lab.qemu() == []
    assert "theirs" not in lab.run(host, "sh", "-c", "cat /var/log/libvirt/qemu/HostedEngine.log").stdout
    shell(lab, host, f"mv {CONF}.right {CONF}; mv {XML}.right {XML}; systemctl restart ovirt-ha-agent")
    lab.wait("vm=up && http=ok && !lease=none", 150)


@pytest.mark.lab("-n", "2", *QUICK)
def test_whiteboard_of_another_domain_found_joined(lab):
    # Rule 8: nobody passes the gate of the join again. The VM is left to its lease.
    host, before = lab.vm_host(), lab.qemu()
    block = "dd of=/srv/storage/metadata bs=4096 seek=2001 conv=sync,notrunc oflag=direct status=none"
    keep = "dd if=/srv/storage/metadata of=/root/identity bs=4096 skip=2001 count=1 status=none"
    shell(lab, host, f"{keep}; printf 'domain=ffffffff-0000-4000-8000-000000000000\\nlockspace=hosted-engine\\n' | {block}")
    shell(lab, host, "systemctl restart ovirt-ha-broker")
    poll(lambda: re.search(r"penalty blocked 0 -> \d+ score=0", journal(lab, host, "ovirt-ha-agent")), 30,
         "no score 0 with that reason")
    record = f"dd if=/srv/storage/metadata bs=4096 skip={host} count=1 iflag=direct status=none | sha256sum"
    own = shell(lab, host, record).stdout
    # A record is renewed each loop of 2 s; the other host's broker has its own minute.
    stays = lab.command("wait", f"score@{host}=0", "--timeout", 6, timeout=30, check=False)
    assert stays.returncode == 1 and shell(lab, host, record).stdout == own, "the record was written"
    said = lab.operator(host, "--vm-status", check=False).stdout
    assert "belongs to another domain" in said, said
    refused = lab.operator(host, "--set-maintenance", "--mode=global", check=False)
    assert refused.returncode != 0 and "another domain" in refused.stderr
    assert lab.stays(before) and lab.holds(f"lockspace@{host}=joined && http=ok")
    shell(lab, host, f"{block} if=/root/identity; systemctl restart ovirt-ha-broker")
    lab.wait(f"score@{host}>0 && vm=up@{host} && http=ok", 60)
    assert lab.stays(before)
