# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hands and accidents do to the lease and to libvirt behind the daemons' back. The witness has the last word
in each case: never two together."""
import pytest

import lab_storage

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
    # Rule 11: a paused VM holds no lease and is ended after its time, then started as any.
    host, before = lab.vm_host(), lab.qemu()
    lab.run(host, "virsh", "-q", "suspend", "HostedEngine")
    lab.wait("lease=none", 5)
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
