# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo holds on each kind of storage: its own verdict, and the witness's over its whole course."""
import os
import subprocess

import pytest

import lab_storage
from conftest import TOP, finish, lab_name
from lab_driver import LabDriver
from witness import Witness

DEMO_SECONDS = 600


@pytest.fixture
def driver(request, worker):
    """Of the lab that the demo makes, and takes down when it has ended."""
    driver = LabDriver(lab_name(worker), request.config.getoption("--build"))
    witness = Witness(driver.lab).start()
    yield driver
    finish(request, driver, witness)


@pytest.mark.full
@pytest.mark.xdist_group("demo")  # one after the other: each looks after the build first, and writes build/demo.json
@pytest.mark.parametrize("kind", lab_storage.KINDS)
def test_demo(driver, kind):
    done = subprocess.run([f"{TOP}/tools/demo", "--plain", "--name", driver.lab.name, "--storage", kind], timeout=DEMO_SECONDS,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and "\nall held, " in done.stdout, done.stdout
    assert not os.path.exists(driver.lab.folder), "the demo left its lab"
