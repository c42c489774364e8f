# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine VM is migrated by hand, behind the daemons' back: seen as what it is, and nobody answers it with a start,
a stop or a score of 0. The witness has the last word: never two together."""
import time

import pytest

from lab_driver import poll
from lab_place import Host

PAUSED = 5  # seconds that a VM may be paused; the copy takes longer
MIB_PER_SECOND = 3


def begin_migration(lab, source, target):
    """Returns what says whether it is over."""
    address = Host(lab.lab, target).address
    lab.run(source, "systemd-run", "-q", "--collect", "--unit=migration", "virsh", "migrate", "--live", "--p2p",
            "--bandwidth", MIB_PER_SECOND, "HostedEngine", f"qemu+tcp://{address}/system")
    return lambda: lab.run(source, "systemctl", "is-active", "migration", check=False).stdout.strip() != "active"


@pytest.mark.lab("-n", "2", "--set", "agent.policy.loop=2", "--set", f"agent.policy.paused={PAUSED}")
def test_slow_migration_and_one_in_vain(lab):
    source = lab.vm_host()
    target = lab.others(source)[0]
    # Its libvirtd dies halfway: the VM stays where it is, and the target is as good as before.
    over = begin_migration(lab, source, target)
    lab.wait(f"vm=up@{source} && vm=up@{target}", 20)
    lab.run(target, "systemctl", "kill", "-s", "KILL", "libvirtd")
    poll(over, 60, "the migration does not fail")
    lab.wait(f"vm=up@{source} && !vm=up@{target} && state@{source}=EngineUp && state@{target}=EngineDown", 30)
    lab.wait(f"score@{target}=3400 && libvirtd@{target}=active", 30)
    # And one that takes longer than a VM may be paused otherwise.
    over = begin_migration(lab, source, target)
    began = time.monotonic()
    lab.wait(f"vm=up@{target}", 20)
    poll(over, 120, "the migration does not end")
    assert time.monotonic() - began > 2 * PAUSED, "the copy was too quick to show anything"
    lab.wait(f"!vm=up@{source} && vm=up@{target} && lease={target}", 20)
    lab.wait("http=ok", 60)  # its announcements may be lost: then neighbours miss it until they ask anew
    lab.wait(f"state@{source}=EngineDown && state@{target}=EngineUp", 30)
    lab.wait(f"score@{source}=3400 && score@{target}=3400", 30)
