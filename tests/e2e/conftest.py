# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the end-to-end cases.

Each case has a lab of its own (made in 2 s, so none inherits another's state) and a witness over its whole
course; each run and worker of pytest-xdist uses other names, so labs run side by side. `lab` is a lab with
the project's daemons, the VM up and healthy; `bare_lab` one without daemons. A case says what it needs by
@pytest.mark.lab("-n", "2", "--set", "agent.KEY=VALUE"). `kind_lab` is as `lab`, of a kind of storage, and goes
from case to case of that kind while they pass: what one leaves, the next has to live with.
"""
import os
import re
import subprocess
import sys

import pytest

TOP = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
sys.path.insert(0, f"{TOP}/tools/lab.d")

from lab_driver import LabDriver  # noqa: E402
from witness import Witness  # noqa: E402

UP_SECONDS = 60
# A host whose VM ended unexpectedly has score 0 for 560 s; a case that waits for all to be well again sets its own.
PACE = ("--set", "agent.policy.unexpected=20")


BY_TURNS = ("nfs3", "nfs4", "iscsi", "gluster", "block")


def turn():
    """The kind of storage whose cases run without --full too, besides those of `path`: of BY_TURNS another one with each commit,
    the same in each process of a run."""
    words = ["git", "-C", TOP, "rev-list", "--count", "HEAD"]
    counted = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return BY_TURNS[int(counted.stdout or 0) % len(BY_TURNS)]


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="also the cases marked `full`")
    parser.addoption("--build", default=f"{TOP}/build", help="build directory of the project")


def pytest_report_header():
    return f"storage that is tested in full: path, and by turns {turn()}"


def pytest_configure(config):
    config.addinivalue_line("markers", "lab(*arguments): further arguments of `tools/lab up`")
    config.addinivalue_line("markers", "full: a long case, run by --full alone")
    config.addinivalue_line("markers", "together: two guests run together here on purpose")


def pytest_collection_modifyitems(config, items):
    # Those that share a lab run one after another: first, so that the others fill the time beside them.
    groups = {item: item.get_closest_marker("xdist_group") for item in items}
    items.sort(key=lambda item: (groups[item] is None, groups[item] and groups[item].args[0]))
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.case_failed = str(outcome.get_result().longrepr)


def lab_name(worker):
    return f"{os.environ.get('OVIRT_HA_E2E_LABS', 'e2e')}{worker}"


def make_lab(request, worker, *arguments):
    """A lab that is up; with what the case's mark says after the arguments."""
    config = request.config
    driver = LabDriver(lab_name(worker), config.getoption("--build"))
    mark = request.node.get_closest_marker("lab")
    try:
        driver.up(*arguments, *(mark.args if mark else ()))
    except BaseException:
        finish(request, driver, None)
        raise
    return driver


def finish(request, driver, witness, keep=False, mute=False):
    """Ends the witness and the lab in any case, but with `keep` one whose case passed; then the witness has its say. A
    `mute` guest writes its ticks nowhere."""
    if witness is not None:
        witness.stop()
    failed = getattr(request.node, "case_failed", None) or witness is None or witness.error or \
        witness.violations() or not (mute or witness.ticks)
    try:
        if failed:
            case = re.sub(r"\W+", "-", request.node.name)
            driver.keep_evidence(f"{request.config.getoption('--build')}/e2e/{case}",
                                 f"{getattr(request.node, 'case_failed', '')}\n"
                                 f"{witness.story() if witness else 'no witness: the lab did not come up'}")
    finally:
        if failed or not keep:
            driver.down()
    if witness is not None:
        witness.verify_itself()
        if not request.node.get_closest_marker("together"):
            witness.verify(mute)


@pytest.fixture(scope="session")
def worker(request):
    return getattr(request.config, "workerinput", {}).get("workerid", "main")


@pytest.fixture
def bare_lab(request, worker):
    """Hosts with sanlock and libvirtd only; the witness watches from the start."""
    driver = make_lab(request, worker, "--no-project")
    driver.witness = witness = Witness(driver.lab).start()
    yield driver
    finish(request, driver, witness)


@pytest.fixture
def undeployed_lab(request, worker):
    """Hosts without configuration, a shared empty folder, and an appliance; the witness watches from the start."""
    driver = make_lab(request, worker, "--undeployed")
    driver.witness = witness = Witness(driver.lab).start()
    yield driver
    finish(request, driver, witness, mute=True)


def begin_case(request, driver):
    """Starts the witness, and returns when the VM is up and healthy and all hosts could take it."""
    driver.witness = None
    try:
        driver.witness = Witness(driver.lab).start()
        driver.wait_well(UP_SECONDS)
        host = driver.vm_host()  # its agent may see the page later than we do
        driver.wait(f"state@{host}=EngineUp && health@{host}=good", UP_SECONDS)
        driver.wait_seen(host, UP_SECONDS)
    except BaseException:
        request.node.case_failed = "before the case began"
        finish(request, driver, driver.witness)
        raise


@pytest.fixture
def lab(request, worker):
    """Hosts with the project's daemons; the VM is up and healthy, and all hosts could take it."""
    driver = make_lab(request, worker, *PACE)
    begin_case(request, driver)
    yield driver
    finish(request, driver, driver.witness)


@pytest.fixture(scope="module")
def kind(request):
    """(kind of storage, bytes of a sector, further arguments of `up` ..), and the lab that cases of it share."""
    shared = {"arguments": request.param, "driver": None}
    yield shared
    if shared["driver"]:
        shared["driver"].down()


@pytest.fixture
def kind_lab(request, worker, kind):
    name, sector, *more = kind["arguments"]
    driver = kind["driver"] or make_lab(request, worker, *PACE, "-n", "2", "--storage", name, "--sector", str(sector), *more)
    kind["driver"] = None
    begin_case(request, driver)
    yield driver
    finish(request, driver, driver.witness, keep=True)
    kind["driver"] = None if getattr(request.node, "case_failed", None) else driver
