# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host that connects its storage itself, by ovirt-ha-storage: a Gluster volume, mounted by the kernel's way. The broker has it
connected when it starts; an operator connects it again, is refused to take it away while it is used, and takes it away after."""
import pytest

from lab_driver import poll

CONNECTED = [word for key, value in (("domainType", "glusterfs"), ("storage", "storage:/storage"), ("lockspace_path", ""),
                                     ("mnt_options", "direct-io-mode=enable"), ("metadata_path", ""), ("lease_path", ""),
                                     ("conf_path", "")) for word in ("--set", f"he.{key}={value}")]


@pytest.mark.lab("-n", "1", "--storage", "gluster", "--io-timeout", "3", *CONNECTED)
def test_storage_that_a_host_connects(lab):
    host = lab.vm_host()
    folder = f"/run/ovirt-ha-storage/{lab.lab.domain_uuid}"

    def mounts():
        with_it = lab.run(host, "findmnt", "-rno", "FSTYPE", "--mountpoint", folder, check=False)
        return with_it.stdout.split()

    def says(option, code, words=""):
        done = lab.operator(host, option, check=False)
        assert (done.returncode, done.stdout) == (code, "") and words in done.stderr, done
        assert code or not done.stderr

    assert mounts() == ["fuse.glusterfs"]
    says("--connect-storage", 0)
    assert mounts() == ["fuse.glusterfs"]
    # A service that was killed knows what it did, and what it mounted lives on.
    before = lab.qemu()
    lab.run(host, "systemctl", "kill", "--kill-whom=main", "-s", "KILL", "ovirt-ha-storage")
    poll(lambda: lab.operator(host, "--connect-storage", check=False).returncode == 0, 20, "the service is not back")
    assert mounts() == ["fuse.glusterfs"] and lab.qemu() == before
    # The server restarts, all of its bricks: the client comes back by itself, and so does all that needs it. The VM may have
    # died of it: the bricks of a busy machine take longer than sanlock waits at this io_timeout.
    lab.storage("server", "stop")
    poll(lambda: lab.run(host, "stat", "--file-system", folder, check=False).returncode, 20, "it is still there")
    lab.storage("server", "start")
    poll(lambda: lab.run(host, "stat", "--file-system", folder, check=False).returncode == 0, 60, "it does not come back")
    lab.wait_well(120)
    poll(lambda: "trouble" not in lab.own_status(host), 60, lambda: lab.own_status(host).get("trouble"))
    assert mounts() == ["fuse.glusterfs"]
    says("--disconnect-storage", 1, "the engine VM runs on this host")
    lab.operator(host, "--set-maintenance", "--mode=global")
    before = lab.qemu()
    lab.run(host, "systemctl", "stop", "ovirt-ha-agent")
    assert lab.qemu() == before
    lab.run(host, "virsh", "-q", "destroy", "HostedEngine")
    says("--disconnect-storage", 1, "the lockspace hosted-engine is joined")
    assert mounts() == ["fuse.glusterfs"]
    lab.run(host, "systemctl", "stop", "ovirt-ha-broker")
    says("--disconnect-storage", 0)
    says("--disconnect-storage", 0)
    assert mounts() == []
    says("--connect-storage", 0)
    says("--disconnect-storage", 0)
    # A volume that the server has not.
    conf = "/etc/ovirt-hosted-engine/hosted-engine.conf"
    lab.run(host, "sed", "-i.right", "s|^storage=.*|storage=storage:/none|", conf)
    says("--connect-storage", 1, "check that the server has what storage= in hosted-engine.conf names")
    assert mounts() == [] and lab.run(host, "test", "-e", folder, check=False).returncode == 1
    lab.run(host, "mv", f"{conf}.right", conf)
    lab.run(host, "systemctl", "start", "ovirt-ha-broker")
    lab.wait(f"lockspace@{host}=joined", 60)
    assert mounts() == ["fuse.glusterfs"]
