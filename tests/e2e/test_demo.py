# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo holds on each kind of storage: its own verdict, and the witness's over its whole course."""
import contextlib
import json
import os
import subprocess

import pytest

import lab_storage
from conftest import TOP, finish, lab_name
from lab_driver import LabDriver
from witness import Witness

DEMO_SECONDS = 600
DOWN_SECONDS = 150  # the demo gives its lab 120


@pytest.fixture
def driver(request, worker):
    """Of the lab that the demo makes, and takes down when it has ended."""
    driver = LabDriver(lab_name(worker), request.config.getoption("--build"))
    witness = Witness(driver.lab).start()
    yield driver
    finish(request, driver, witness)


def run_demo(driver, kind, seconds):
    """Exit code, and what it said. One that takes longer is ended by a signal after which it takes its lab down."""
    demo = subprocess.Popen([f"{TOP}/tools/demo", "--plain", "--name", driver.lab.name, "--build", driver.build, "--storage", kind],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = demo.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        demo.terminate()
        said = demo.communicate(timeout=DOWN_SECONDS)[0]
    finally:
        demo.kill()
    return demo.returncode, said


@pytest.mark.full
@pytest.mark.xdist_group("demo")  # one after the other: each looks after the build first, and writes its demo.json
@pytest.mark.parametrize("kind", lab_storage.KINDS)
def test_demo(driver, kind):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{driver.build}/demo.json")
    code, said = run_demo(driver, kind, DEMO_SECONDS)
    assert code == 0 and "\nall held, " in said, said
    assert not os.path.exists(driver.lab.folder), "the demo left its lab"
    with open(f"{driver.build}/demo.json") as file:
        assert json.load(file)["ok"]
