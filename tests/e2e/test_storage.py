# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine on each kind of shared storage, behind a real server where the kind has one: it moves on when its QEMU
is killed, it stays where it is through what sanlock bears, and moves when its host's way to the storage fails.
"""
import pytest

import lab_storage

TAKEOVER_SECONDS = 8 * 3 + 60 + 60  # sanlock's at io_timeout 3, and a start
KINDS = [("iscsi", 4096), ("iscsi", 512), ("nfs3", 512), ("nfs3", 4096), ("nfs4", 512), ("nfs4", 4096), ("gluster", 512),
         ("block", 512), ("block", 4096), ("path", 4096)]
NETWORKED = ("iscsi", "nfs3", "nfs4", "gluster")
RETURNING = ("iscsi", "nfs3", "nfs4")  # Gluster's client does not go on by itself when all bricks were gone


def on(kind, sector, *arguments, full=True):
    marks = [pytest.mark.lab("-n", "2", "--storage", kind, "--sector", str(sector), *arguments)]
    return pytest.param(kind, marks=marks + ([pytest.mark.full] if full else []), id=f"{kind}-{sector}")


def sector_size(lab, host):
    leases = lab_storage.path_in_host(lab.lab.required_settings(), "leases")
    words = lab.run(host, "sanlock", "direct", "read_leader", "-r", f"hosted-engine:engine:{leases}:0").stdout
    return int(dict(line.split(None, 1) for line in words.splitlines() if " " in line)["sector_size"])


@pytest.mark.parametrize("kind", [on(kind, sector, "--io-timeout", "3", full=(kind, sector) != ("iscsi", 4096))
                                  for kind, sector in KINDS])
def test_vm_moves_on(lab, kind, request):
    host, before = lab.vm_host(), lab.qemu()
    assert sector_size(lab, host) == int(request.node.callspec.id.rpartition("-")[2])
    lab.vm("kill")
    lab.wait_elsewhere(host, 60)
    assert not set(before) & set(lab.qemu())


@pytest.mark.parametrize("kind", [on(kind, 512, "--io-timeout", "3") for kind in ("path", *NETWORKED)])
def test_faults_of_one_hosts_way(lab, kind):
    host, before = lab.vm_host(), lab.qemu()

    def bears(fault, seconds):
        lab.storage(host, fault)
        lab.run(host, "sleep", str(seconds))
        lab.storage(host, "ok")
        lab.wait_well(60)
        assert lab.qemu() == before

    bears("slow", 20)
    bears("hang", 5)
    if kind in NETWORKED:
        bears("drop", 5)
    if kind in RETURNING:
        lab.storage("server", "stop")
        lab.run(host, "sleep", "5")
        lab.storage("server", "start")
        lab.wait_well(60)
        assert lab.qemu() == before
    lab.storage(host, "error")
    lab.wait(f"!vm=up@{host}", 40)
    lab.wait_elsewhere(host, TAKEOVER_SECONDS)
    lab.storage(host, "ok")
    lab.wait_well(120)
    assert not set(before) & set(lab.qemu())
