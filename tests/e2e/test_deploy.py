# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deployment from hosts that know nothing: an appliance becomes an engine that runs, further hosts join it, a clean-up
takes a host back to before, and what was broken off anywhere can be cleaned and done again.
"""
import contextlib
import json
import os
import re
import signal
import subprocess

import pexpect
import pytest

from lab_driver import LAB, poll
from lab_place import STORAGE_ADDRESS, read, read_pid
from storage_servers import CHAP_PASSWORD, CHAP_USER, IQN

CONF = "/etc/ovirt-hosted-engine/hosted-engine.conf"
BEFORE = "find /etc /var/lib/ovirt-hosted-engine-ha /run/ovirt-ha-storage -xdev -type f -not -name '*.log' " \
         "-not -path '*/setup/*' -exec sha256sum {} + | sort -k 2; find /etc/systemd/system -type l | sort"
FURTHER = {"storage_type": "path", "storage": "/srv/shared"}


def first(lab, **more):
    return {**FURTHER, "bridge": "br0", "gateway": "10.90.0.254", "fqdn": "engine.lab", "vcpus": 1, "memory_mib": 128,
            "appliance": "/srv/guest/appliance.qcow2", "disk_gib": 1, "root_password": "let me in", "io_timeout": 1,
            "require_watchdog": "no", "health_timeout": 120, "vmid": lab.lab.vmid, "domain": lab.lab.domain_uuid, **more}


def write_answers(lab, host, answers):
    path = f"{lab.lab.host(host).root}/root/answers"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{key}={value}\n" for key, value in answers.items())


def deploy(lab, host, answers, check=True):
    write_answers(lab, host, answers)
    return lab.run(host, "hosted-engine", "--deploy", "--config-append=/root/answers", timeout=180, check=check)


def heed_signals():
    """Who runs the tests in the background, or by nohup, has some of them ignored, which a terminal's programs have not."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def terminal_of(lab, host, *command, timeout):
    return pexpect.spawn(LAB, ["--name", lab.lab.name, "run", str(host), *command], encoding="utf-8", timeout=timeout, echo=False,
                         preexec_fn=heed_signals)


def hit(lab, host, number):
    """Sends a signal to hosted-engine there; whether it ran. A command run there would come too late for a step of a moment."""
    space = os.readlink(f"/proc/{lab.lab.host(host).pid1()}/ns/pid")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if read(f"/proc/{pid}/comm") == "hosted-engine\n" and os.readlink(f"/proc/{pid}/ns/pid") == space:
                os.kill(int(pid), number)
                found.append(pid)
    return bool(found)


def clean(lab, host):
    return lab.run(host, "hosted-engine-cleanup", "-q", timeout=200)


def state_of(lab, host):
    return lab.run(host, "sh", "-c", BEFORE).stdout


def shared(lab):
    return sorted(os.listdir(f"{lab.lab.folder}/storage/shared"))


@pytest.mark.lab("-n", "3")
def test_three_hosts(undeployed_lab):
    lab = undeployed_lab
    before = {host: state_of(lab, host) for host in lab.keys()}
    assert "\nlease: ?   engine page: none " in lab.command("status").stdout
    done = deploy(lab, 1, first(lab))
    assert "[ INFO  ] Hosted Engine successfully deployed" in done.stdout and not done.stderr
    assert "let me in" not in done.stdout
    lab.wait("vm=up@1 && http=ok && lease=1", 10)
    assert lab.operator(1, "--check-deployed").stdout == "The hosted engine has been deployed\n"
    again = deploy(lab, 1, first(lab), check=False)
    assert again.returncode == 1 and "has been deployed on this host already" in again.stderr

    deploy(lab, 2, FURTHER)
    lab.wait("agent@2=active && lockspace@2=joined && score@2>0", 30)
    assert "broker : 25" in lab.operator(2, "--get-shared-config", "smtp-port", "--type=broker").stdout

    # Back to before, and again: its id is free.
    clean(lab, 2)
    assert state_of(lab, 2) == before["2"]
    lab.wait("vm=up@1 && http=ok", 10)
    deploy(lab, 2, FURTHER)
    lab.wait("lockspace@2=joined && score@2>0", 30)
    assert "host_id=2\n" in lab.run(2, "cat", CONF).stdout
    deploy(lab, 3, FURTHER)
    lab.wait("lockspace@3=joined && score@3>0", 30)

    # The first host leaves: the VM goes on elsewhere, with its disk, and the others forget the host.
    lab.wait_seen(1, 30)
    leaving = terminal_of(lab, 1, "hosted-engine", "--undeploy", timeout=100)
    leaving.expect_exact("Taking back: Starting sanlock, libvirt and the guard")  # a second and more; the last steps take none
    assert hit(lab, 1, signal.SIGKILL)
    leaving.expect(pexpect.EOF)
    leaving.close()
    poll(lambda: "1" not in json.loads(lab.operator(2, "--vm-status", "--json").stdout), 12, "host 1 is still known")
    assert "has left" in lab.operator(1, "--undeploy").stdout
    assert state_of(lab, 1) == before["1"]
    assert shared(lab) == ["conf", "disk", "leases", "lockspace", "metadata"]
    assert lab.operator(1, "--undeploy", check=False).stdout == "You must run deploy first\n"
    lab.wait("!vm=up@1 && vm=up && http=ok", 60)

    # The next one has nothing to hand over, and who is the last stays.
    last = lab.vm_host()
    other = next(host for host in ("2", "3") if host != last)
    assert "has left" in lab.operator(other, "--undeploy").stdout
    assert state_of(lab, other) == before[other]
    poll(lambda: other not in json.loads(lab.operator(last, "--vm-status", "--json").stdout), 12, f"host {other} is still known")
    lab.wait(f"vm=up@{last} && http=ok && lease={last}", 10)
    alone = lab.operator(last, "--undeploy", check=False)
    assert alone.returncode == 1 and "This host stays deployed" in alone.stderr


# Of a kind each: what is on the storage already, and its way back; what is said of it; and what every host is told.
SOMEBODYS = ("touch {}/shared/somebodys", "rm {}/shared/somebodys", "holds somebodys")
DATA = ("printf 'anything' | dd of={}/lun conv=notrunc status=none",
        "dd if=/dev/zero of={}/lun bs=8 count=1 conv=notrunc status=none", "data of no known kind in the first MiB")
ISCSI = {"storage_type": "iscsi", "storage": STORAGE_ADDRESS, "iqn": f"{IQN}:storage", "lun": 1, "user": CHAP_USER,
         "password": CHAP_PASSWORD}
KINDS = {
    "nfs3": (*SOMEBODYS, {"storage_type": "nfs", "storage": f"{STORAGE_ADDRESS}:{{}}/shared"}),
    "nfs4": (*SOMEBODYS, {"storage_type": "nfs3", "storage": "127.0.0.1:{}/shared"}),  # the host's own client of version 4
    "iscsi": (*DATA, ISCSI),
    "iscsi-4096": (*DATA, ISCSI),
    "gluster": ("touch {0}/brick1/somebodys {0}/brick2/somebodys {0}/brick3/somebodys",
                "rm {0}/brick1/somebodys {0}/brick2/somebodys {0}/brick3/somebodys", "holds somebodys",
                {"storage_type": "glusterfs", "storage": "storage:/storage", "mnt_options": "direct-io-mode=enable"}),
    "block": (*DATA, {"storage_type": "fc", "lun": "lab-lun"}),  # a disk that is there by itself
}
DEFAULT_KINDS = ("nfs3", "iscsi")


def on(kinds, hosts):
    """A case of each kind, in a lab with that storage; those of no DEFAULT_KINDS are run by --full alone."""
    def case(kind):
        storage, _, sector = kind.partition("-")
        lab = pytest.mark.lab("-n", hosts, "--storage", storage, "--sector", sector or "512")
        return pytest.param(kind, marks=[lab] if kind in DEFAULT_KINDS else [lab, pytest.mark.full])
    return pytest.mark.parametrize("kind", [case(kind) for kind in kinds])


def answers_of(lab, kind):
    told = FURTHER if kind == "path" else KINDS[kind][3]
    return {key: str(value).format(f"{lab.lab.folder}/storage") for key, value in told.items()}


@on(KINDS, "3")
def test_on_storage_of_a_kind(undeployed_lab, kind):
    """The hosts reach it by themselves: where the kernel has no client by a storage daemon each."""
    lab = undeployed_lab
    put, remove, words, _ = KINDS[kind]
    place, storage = f"{lab.lab.folder}/storage", answers_of(lab, kind)
    before = {host: state_of(lab, host) for host in lab.keys()}

    def held():
        return subprocess.run(["sh", "-c", f"cd {place} && find -L shared lun brick1 -type f -not -path '*/.glusterfs*' "
                               "-exec cat {} + 2>/dev/null | sha256sum"], check=True, capture_output=True).stdout
    subprocess.run(["sh", "-c", put.format(place)], check=True)
    holds = held()
    refused = deploy(lab, 1, {**first(lab), **storage}, check=False)
    assert refused.returncode == 1 and words in refused.stdout + refused.stderr and held() == holds
    clean(lab, 1)
    assert state_of(lab, 1) == before["1"] and held() == holds
    subprocess.run(["sh", "-c", remove.format(place)], check=True)

    done = deploy(lab, 1, {**first(lab), **storage})
    assert CHAP_PASSWORD not in done.stdout + done.stderr
    lab.wait("vm=up@1 && http=ok && lease=1", 10)
    for host in (2, 3):
        deploy(lab, host, storage)
        lab.wait(f"lockspace@{host}=joined && score@{host}>0", 30)
    for host in (2, 3):
        clean(lab, host)
        assert state_of(lab, host) == before[str(host)]
    lab.wait("vm=up@1 && http=ok", 10)


@pytest.mark.full
@on(("path", "nfs3"), "2")
def test_forced_over_a_domain_in_use(undeployed_lab, kind):
    lab = undeployed_lab
    storage, folder = answers_of(lab, kind), f"{lab.lab.folder}/storage/shared"
    before = state_of(lab, 2)
    deploy(lab, 1, {**first(lab), **storage})
    parts = shared(lab)
    forced = {**first(lab), **storage, "storage_force": "yes", "domain": "5e5c1d5a-0f0e-4b8e-9a53-2d4a3c1e7f10"}
    for part, words in ((None, "host id 1 is in use"), ("conf", "whether hosts use it can't be told")):
        if part:
            os.rename(f"{folder}/{part}", f"{folder}/{part}.away")
        refused = deploy(lab, 2, forced, check=False)
        assert refused.returncode == 1 and words in refused.stderr
        clean(lab, 2)
        if part:
            os.rename(f"{folder}/{part}.away", f"{folder}/{part}")
    assert shared(lab) == parts and state_of(lab, 2) == before
    lab.wait("vm=up@1 && http=ok && lease=1", 10)


@pytest.mark.full
@pytest.mark.lab("-n", "1")
def test_restored(undeployed_lab):
    lab = undeployed_lab
    deploy(lab, 1, first(lab))
    lab.operator(1, "--set-shared-config", "smtp-port", "2525", "--type=broker")
    lab.operator(1, "--save-config", "/root/saved")
    known = lab.run(1, "virsh", "-q", "domiflist", "HostedEngine").stdout.split()[-1]

    answers = {**FURTHER, "appliance": "/srv/guest/appliance.qcow2", "domain": lab.lab.domain_uuid, "health_timeout": 120}
    clean(lab, 1)
    write_answers(lab, 1, answers)
    again = ("hosted-engine", "--deploy", "--config-append=/root/answers", "--restore-from-file=/root/saved")
    refused = lab.run(1, *again, timeout=60, check=False)
    assert refused.returncode == 1 and "restored to storage without one" in refused.stderr
    lab.run(1, "sh", "-c", "rm /srv/shared/*; cp /root/saved /root/cut; truncate -s 1000 /root/cut")
    refused = lab.run(1, *again[:-1], "--restore-from-file=/root/cut", timeout=60, check=False)
    assert refused.returncode == 1 and "/root/cut can't be restored" in refused.stderr and shared(lab) == []

    lab.run(1, *again, timeout=180)
    lab.wait("vm=up@1 && http=ok && lease=1", 10)
    assert f"vmid={lab.lab.vmid}\n" in lab.run(1, "cat", CONF).stdout
    assert lab.run(1, "virsh", "-q", "domiflist", "HostedEngine").stdout.split()[-1] == known
    assert "broker : 2525" in lab.operator(1, "--get-shared-config", "smtp-port", "--type=broker").stdout


def typed(lab, host, *arguments):
    """The questions on a terminal."""
    return terminal_of(lab, host, "hosted-engine", "--deploy", *arguments, timeout=60)


# In the order of the questions: words of each, and what is typed.
STORAGE = [("storage you would like to use", "path"), ("storage connection path", "/srv/shared")]
NETWORK = [("management bridge", ""), ("gateway IP address", "10.90.0.254")]
UNASKED = ("io_timeout", "require_watchdog", "health_timeout", "vmid", "domain")
ENGINE = [("FQDN for the engine", "engine.lab"), ("engine's appliance", "/srv/guest/appliance.qcow2"),
          ("virtual CPUs", "1"), ("memory size", "128"), ("size of the VM disk", ""), ("unicast MAC", ""),
          ("network be configured", "static"), ("IP address to be used", "10.90.0.100/24"),
          ("gateway of the engine VM", "10.90.0.254"), ("domain name servers", ""), ("root password", "let me in"),
          ("ssh public key", ""), ("SMTP server through", ""), ("port number of the SMTP", ""),
          ("email address from", ""), ("list of email addresses", "")]


def answer(terminal, questions):
    for words, line in questions:
        terminal.expect_exact(words)
        terminal.expect(r"\S: ?$|: $")
        terminal.sendline(line)


def ended(terminal, code, words):
    terminal.expect_exact(words)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == code, terminal.before


@pytest.mark.full
@pytest.mark.lab("-n", "3")
def test_typed(undeployed_lab):
    lab = undeployed_lab
    write_answers(lab, 1, {key: first(lab)[key] for key in UNASKED})
    before = state_of(lab, 1)
    questions = STORAGE + NETWORK + ENGINE
    for left in range(len(questions) + 1):
        terminal = typed(lab, 1, "--config-append=/root/answers")
        answer(terminal, questions[:left])
        terminal.expect_exact(questions[left][0] if left < len(questions) else "confirm installation settings")
        if left % 2:
            terminal.sendeof()
        else:
            assert hit(lab, 1, signal.SIGTERM)
        ended(terminal, 1, "nothing on this host was changed")
    assert state_of(lab, 1) == before and shared(lab) == []

    terminal = typed(lab, 1, "--config-append=/root/answers", "--generate-answer=/root/said")
    answer(terminal, [(STORAGE[0][0], "floppy"), STORAGE[0], (STORAGE[1][0], "nowhere"), (STORAGE[1][0], "/nowhere"),
                      *STORAGE, (NETWORK[0][0], "eth0"), *NETWORK, (ENGINE[0][0], "engine.nowhere"), *ENGINE])
    terminal.expect_exact("confirm installation settings")
    assert "let me in" not in terminal.before
    terminal.sendline("Yes")
    terminal.timeout = 150
    ended(terminal, 0, "Hosted Engine successfully deployed")
    lab.wait("vm=up@1 && http=ok && lease=1", 10)
    assert lab.run(1, "stat", "-c", "%a", "/root/said").stdout == "600\n"

    # A further host is told the storage; the answers of the first are good for nothing else here, and do no harm.
    for host in (2, 3):
        terminal = typed(lab, host)
        answer(terminal, STORAGE + [("Host ID", ""), (NETWORK[0][0], ""), (NETWORK[1][0], ""), ("confirm", "")])
        terminal.timeout = 100
        ended(terminal, 0, "Hosted Engine successfully deployed")
        lab.wait(f"lockspace@{host}=joined && score@{host}>0", 30)


# Of a server: what is offered is picked by its number.
OFFERED = {
    "nfs3": [(STORAGE[0][0], "nfs"), (STORAGE[1][0], STORAGE_ADDRESS), (STORAGE[1][0], "1"), ("additional mount options", "")],
    "iscsi": [(STORAGE[0][0], "iscsi"), (STORAGE[1][0], STORAGE_ADDRESS), ("portal port", ""), ("discover user", CHAP_USER),
              ("specify its password", CHAP_PASSWORD), ("target name", "1"), ("destination LUN", "1")],
}


@pytest.mark.full
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.lab("-n", "3", "--storage", kind)) for kind in OFFERED])
def test_three_hosts_typed_on_a_server(undeployed_lab, kind):
    lab = undeployed_lab
    write_answers(lab, 1, {key: first(lab)[key] for key in UNASKED})
    terminal = typed(lab, 1, "--config-append=/root/answers")
    answer(terminal, OFFERED[kind] + NETWORK + ENGINE)
    terminal.expect_exact("confirm installation settings")
    terminal.sendline("Yes")
    terminal.timeout = 170
    ended(terminal, 0, "Hosted Engine successfully deployed")
    lab.wait("vm=up@1 && http=ok && lease=1", 10)
    for host in (2, 3):
        terminal = typed(lab, host)
        answer(terminal, OFFERED[kind] + [("Host ID", ""), (NETWORK[0][0], ""), (NETWORK[1][0], ""), ("confirm", "")])
        terminal.timeout = 100
        ended(terminal, 0, "Hosted Engine successfully deployed")
        lab.wait(f"lockspace@{host}=joined && score@{host}>0", 30)
    lab.wait("vm=up@1 && http=ok", 10)


DEPLOY = ("sh", "-c", "exec hosted-engine --deploy --config-append=/root/answers </dev/null")
STAGES = ("Creating the storage domain", "Importing the engine's disk", "first configuration",
          "Writing the configuration", "Configuring libvirt: sanlock", "Configuring libvirt: leases",
          "Looking for libvirt's hook", "Configuring sanlock", "Masking suspend", "Starting sanlock",
          "Starting the hosted engine's daemons", "Waiting for", "Finishing")


@pytest.mark.full
@pytest.mark.lab("-n", "1")
def test_broken_off_at_each_stage(undeployed_lab):
    lab = undeployed_lab
    before = state_of(lab, 1)
    write_answers(lab, 1, first(lab))
    for number, words in enumerate(STAGES):
        terminal = terminal_of(lab, 1, *DEPLOY, timeout=100)
        terminal.expect_exact(words)
        hit(lab, 1, (signal.SIGKILL, signal.SIGINT)[number % 2])
        if number % 2 and "Finishing" not in words:
            terminal.expect_exact("Broken off: hosted-engine-cleanup takes this host back to before")
        terminal.expect(pexpect.EOF)
        terminal.close()
        if "Finishing" not in words:
            refused = deploy(lab, 1, first(lab), check=False)
            assert refused.returncode == 2 and "Please clean it up before trying again" in refused.stderr, words
        clean(lab, 1)
        assert state_of(lab, 1) == before, words
        if "Finishing" in words and shared(lab):  # it was done
            lab.run(1, "sh", "-c", "rm /srv/shared/*")
        assert shared(lab) == [], words
    done = deploy(lab, 1, first(lab))
    said = re.findall(r"^\[ INFO  \] (\S.*)$", done.stdout, re.MULTILINE)
    assert [line for line in said if not any(words in line for words in STAGES)] == ["Hosted Engine successfully deployed"]
    lab.wait("vm=up@1 && http=ok && lease=1", 10)


@pytest.mark.full
@on(("nfs3",), "1")
def test_broken_off_while_storage_is_connected(undeployed_lab, kind):
    """The stages that say nothing: they come with the questions, to see what is on the storage."""
    lab = undeployed_lab
    storage, etc, unit = answers_of(lab, kind), "/etc/ovirt-hosted-engine", "/run/systemd/system/ovirt-ha-storage.service.d"
    server = read_pid(f"{lab.lab.folder}/storage/server/ganesha.pid")
    before = state_of(lab, 1)

    def broken_off(stage):
        write_answers(lab, 1, {**first(lab), **storage})
        terminal = terminal_of(lab, 1, *DEPLOY, timeout=30)
        poll(lambda: f"stage.{stage}=begun" in (read(f"{lab.lab.host(1).root}{etc}/deploy.journal") or ""), 20,
             f"{stage} did not begin")
        assert hit(lab, 1, signal.SIGKILL)
        terminal.expect(pexpect.EOF)
        terminal.close()
        refused = deploy(lab, 1, {**first(lab), **storage}, check=False)
        assert refused.returncode == 2 and "Please clean it up before trying again" in refused.stderr, stage

    # Written at once, which nobody can hit: it fails instead.
    lab.run(1, "sh", "-c", f"mount --bind {etc} {etc} && mount -o remount,bind,ro {etc}")
    refused = deploy(lab, 1, {**first(lab), **storage}, check=False)
    assert refused.returncode == 1 and "Read-only file system" in refused.stderr
    lab.run(1, "umount", etc)
    assert state_of(lab, 1) == before

    lab.run(1, "sh", "-c", f"mkdir -p {unit} && printf '[Service]\\nExecStartPre=sleep 60\\n' >{unit}/slow.conf && "
            "systemctl daemon-reload")
    broken_off("storage-service")
    lab.run(1, "sh", "-c", f"rm -r {unit} && systemctl daemon-reload")
    clean(lab, 1)
    assert state_of(lab, 1) == before

    os.kill(server, signal.SIGSTOP)
    broken_off("storage")
    os.kill(server, signal.SIGCONT)
    clean(lab, 1)
    assert state_of(lab, 1) == before and shared(lab) == []
    deploy(lab, 1, {**first(lab), **storage})
    lab.wait("vm=up@1 && http=ok && lease=1", 10)
