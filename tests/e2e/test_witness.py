# SPDX-License-Identifier: LGPL-2.1-or-later
"""The witness itself: it must see two guests that run together, and must not take a paused one for running."""
import threading

import pytest

from conftest import finish
from lab_place import monotonic
from witness import Witness, violations_of_ticks

ONE, TWO = "1" * 36, "2" * 36


@pytest.mark.parametrize("ticks, count", [
    ([(1, "1", ONE, 0), (2, "1", ONE, 1), (3, "2", TWO, 0)], 0),  # one after the other
    ([(1, "1", ONE, 0), (2, "2", TWO, 0), (3, "1", ONE, 1)], 1),  # in turns
    ([(1, "1", ONE, 0), (2, "2", ONE, 1), (3, "1", ONE, 2)], 0),  # migrated there and back
    ([(1, "1", ONE, 0), (2, "2", ONE, 1), (3, "1", ONE, 1)], 1),  # a copy went on at both ends
], ids=["after", "turns", "migrated", "copy"])
def test_ticks(ticks, count):
    assert len(violations_of_ticks(ticks)) == count


def without_disk(text):
    begin, end = text.index("<disk"), text.index("</disk>") + len("</disk>")
    return text[:begin] + text[end:]


@pytest.mark.together
@pytest.mark.lab("-n", "2")
def test_two_guests_together_are_seen(bare_lab):
    # Without a disk libvirt asks for no lease: the fault that the whole project is there to prevent.
    for host in (1, 2):
        bare_lab.create(host, edit=without_disk, lease=False)
    witness, deadline = bare_lab.witness, monotonic() + 40
    while len(witness.violations()) < 2 and monotonic() < deadline:
        bare_lab.run(1, "sleep", "0.5")
    found = " ".join(witness.violations())
    assert "ticked" in found and "vCPUs together" in found, witness.story()
    with pytest.raises(AssertionError, match="ran together"):
        witness.verify()


@pytest.mark.lab("-n", "2")
def test_a_paused_copy_is_allowed(bare_lab):
    bare_lab.join(1, 2)
    bare_lab.create(1)
    bare_lab.create(2, "--paused")
    bare_lab.wait("vm=up@1 && vm=up@2 && http=ok", 30)
    assert {process.host for process in bare_lab.witness.all_processes()} == {"1", "2"}
    refused = bare_lab.run(2, "virsh", "-q", "resume", "HostedEngine", timeout=90, check=False)
    assert refused.returncode != 0


@pytest.mark.together
@pytest.mark.lab("-n", "1")
def test_a_witness_that_saw_nothing_fails(bare_lab):
    with pytest.raises(AssertionError, match="saw no guest"):
        bare_lab.witness.verify()


class Ended:
    """A lab whose end is written down."""

    def __init__(self):
        self.done = []

    def keep_evidence(self, folder, story):
        self.done.append("evidence")

    def down(self):
        self.done.append("down")


@pytest.mark.parametrize("together", [False, True])
def test_a_witness_that_hangs_fails_and_leaves_evidence(request, together):
    let_go, lab = threading.Event(), Ended()
    witness = Witness(lab)
    witness.thread = threading.Thread(target=let_go.wait, args=(60,), daemon=True)
    witness.thread.start()
    witness.ticks.append((1, "1", ONE, 0))
    stop = witness.stop
    witness.stop = lambda: stop(0.1)
    if together:
        request.node.add_marker(pytest.mark.together)
    with pytest.raises(AssertionError, match="hangs"):
        finish(request, lab, witness)
    let_go.set()
    assert lab.done == ["evidence", "down"]
