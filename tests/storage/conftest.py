# SPDX-License-Identifier: LGPL-2.1-or-later
"""The namespace of a run and the servers in it, for all cases of this folder. Decides nothing about what a case expects."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from storage_kinds import KINDS  # noqa: E402
from storage_space import Space  # noqa: E402


@pytest.fixture(scope="session")
def space():
    space = Space()
    yield space
    space.down()


@pytest.fixture(params=KINDS)
def kind(request, space):
    """Servers are started once, and again where a case ended one."""
    make, argument = KINDS[request.param]
    kind = make(space, argument)
    kind.prepare()
    if not kind.server.runs():
        kind.server.stop()
        kind.server.start()
    return kind
