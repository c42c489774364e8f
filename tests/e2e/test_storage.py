# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine on each kind of shared storage, behind a real server where the kind has one, and every fault of it.

Cases of one kind share a lab (`kind_lab`). Each proves that its fault was there: by a reader on the host, and by what
--vm-status says meanwhile. The default run has all cases on `path` and on one kind by turns, and the first
alone on the others; --full runs all on all.
"""
import contextlib
import functools
import json
import shutil
import subprocess

import pytest

import lab_storage
from bad_storage import bad_storage
from conftest import turn
from fault_watch import FaultWatch
from lab_driver import poll
from lab_place import STORAGE_ADDRESS
from storage_servers import CHAP_PASSWORD, CHAP_USER, IQN, IscsiServer

IO_TIMEOUT = 3  # so much that two cores with three labs on them keep it
DIES_SECONDS = 8 * IO_TIMEOUT + 15  # sanlock ends the VM after 8 x, and kills what does not end by itself
TAKEOVER_SECONDS = 8 * IO_TIMEOUT + 60 + 60  # sanlock's, and a start
START_SECONDS = 60
STUCK_SECONDS = 3  # the broker's io_deadline here
SETTINGS = ("--io-timeout", str(IO_TIMEOUT), "--set", f"broker.storage.io_deadline={STUCK_SECONDS}")

NETWORKED = ("nfs3", "nfs4", "iscsi", "gluster")
SERVED = (*NETWORKED, "block")  # the VM's disk goes the host's way too
ALL = ("path", *SERVED)
RETURNING = ("nfs3", "nfs4", "iscsi")


@functools.cache  # pytest keeps a lab from case to case for the same object, not for an equal one
def lab_of(name, sector):
    return (name, sector, *SETTINGS)


def kinds(*names, sectors=(512,), smoke=False):
    """A case of these kinds; a `smoke` is run on each without --full too."""
    def param(name, sector):
        marks = [pytest.mark.xdist_group(f"{name}-{sector}")]
        if name not in ("path", turn()) and not (smoke and sector == 512):
            marks.append(pytest.mark.full)
        return pytest.param(lab_of(name, sector), marks=marks, id=f"{name}-{sector}")
    return pytest.mark.parametrize("kind", [param(name, sector) for name in names for sector in sectors], indirect=True)


def storage_of(lab):
    return lab.lab.required_settings()["storage"]


def leader(lab, host):
    """What stands in the engine's lease."""
    leases = lab_storage.path_in_host(lab.lab.required_settings(), "leases")
    words = lab.run(host, "sanlock", "direct", "read_leader", "-r", f"hosted-engine:engine:{leases}:0").stdout
    return dict(line.split(None, 1) for line in words.splitlines() if " " in line)


def journal(lab, host, unit, since="-24h"):
    return lab.run(host, "journalctl", "-q", "--no-pager", "--since", since, "-u", unit).stdout


@kinds(*ALL, sectors=(512, 4096), smoke=True)
def test_vm_killed(kind_lab, request):
    lab = kind_lab
    host = lab.vm_host()
    # Hosts that tried at once may have left a lease that the loser wrote for the winner: it is as free as any.
    before = lab.qemu()
    assert f"-{leader(lab, host)['sector_size']}" in request.node.callspec.id
    # What is said of the case before is taken back by the first I/O that is quick again.
    own = poll(lambda: "trouble" not in (now := lab.own_status(host)) and now, START_SECONDS, "the trouble stays")
    assert own["storage"]["write-age"] <= 60 and own["storage"]["stuck-for"] is None
    lab.vm("kill")
    lab.wait_elsewhere(host, START_SECONDS)
    assert not set(before) & set(lab.qemu())


@kinds(*ALL)
def test_slow(kind_lab):
    # A second for each I/O: nothing moves, and people are warned.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    with FaultWatch(lab, host) as watch:
        lab.storage(host, "slow")
        watch.begin_read()
        lab.run(host, "sleep", "25")
        lab.storage(host, "ok")
        code, seconds, _ = watch.end_read(30)
        assert code == 0 and seconds > 1
        lab.wait_well(START_SECONDS)
    # A loop device makes two or three I/O of a large one, and has three a second: the second waits 0.23 s, the third 0.57 s.
    assert watch.renewals("slowest-read-ms", "slowest-write-ms") >= 200
    assert "storage: slow, an I/O took" in watch.troubles()
    assert "storage is slow" in journal(lab, host, "ovirt-ha-broker")
    assert lab.stays(before)


def heal(lab, *hosts):
    """QEMU's client of Gluster closes a file for good when a flush of it failed: the storage daemon has to begin anew then,
    which is what safety rule 13 does to a host's own one."""
    for host in hosts:
        lab.storage(host, "ok")
    for host in hosts if storage_of(lab) == "gluster" else ():
        if not is_open(lab, host):
            print(f"host {host}: its storage daemon begins anew")
            lab.storage(host, "anew")


def is_open(lab, host):
    """Whether all parts of a host's storage can be read; asked from outside, since the host may have been reset."""
    folder = f"{lab.lab.host(host).folder}/storage"
    readers = [subprocess.Popen(["dd", f"if={folder}/{name}", "of=/dev/null", "bs=4096", "count=1", "iflag=direct"],
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for name in lab_storage.FILES]
    with contextlib.suppress(subprocess.TimeoutExpired):
        return not any([reader.wait(10) for reader in readers])
    return False


def vm_moves(lab, host, fault):
    """The VM's host alone has the fault: it ends there, runs elsewhere, and the host is well again without help when
    its storage is. A QEMU that hangs in the kernel with its disk survives SIGKILL: then the guard has reset the host, and
    it is booted, as its firmware would. Returns what was seen; of the reader None when its host was reset."""
    before = lab.qemu()
    with FaultWatch(lab, host) as watch:
        lab.storage(host, fault)
        watch.begin_read()
        lab.wait(f"!vm=up@{host}", DIES_SECONDS)
        lab.wait_elsewhere(host, TAKEOVER_SECONDS)
        assert lab.storage_state(host) == fault
        reset = lab.lab.host(host).ask("true") is None
        heal(lab, host)
        if reset:
            poll(lambda: host not in lab.lab.running_hosts(), 20, "processes of the reset host are still there")
            lab.boot(host)
            assert "resetting this host why=QEMU survives SIGKILL" in journal(lab, host, "ovirt-ha-guard")
        read = None if reset else watch.end_read(60)
        lab.wait_well(START_SECONDS)
        lab.wait_seen(host, START_SECONDS)
    assert not set(before) & set(lab.qemu()) and lab.vm_host() != host
    return watch, read


@kinds(*ALL)  # where files hang, the guard resets the host
def test_hung(kind_lab):
    lab, host = kind_lab, kind_lab.vm_host()
    watch, read = vm_moves(lab, host, "hang")
    assert watch.said_for() > DIES_SECONDS and "storage: I/O stuck for" in watch.troubles()
    # A file by FUSE keeps who closes it waiting, a disk only who has I/O under way, which this guest has not; and the disk
    # of `path` does not hang.
    if storage_of(lab) in lab_storage.LOCAL:
        assert read is None or read[1] > 20
        assert "lockspace: " in watch.troubles()
    else:
        assert read is None
    # sanlock says so of storage that it has asked too often for nothing.
    assert "No such file" not in watch.troubles()


@kinds(*ALL)
def test_errors(kind_lab):
    lab, host = kind_lab, kind_lab.vm_host()
    watch, read = vm_moves(lab, host, "error")
    assert read is None or (read[0] == 1 and "Input/output error" in read[2])
    assert watch.said_for() > DIES_SECONDS and "Input/output error" in watch.troubles()
    assert "lockspace: " in watch.troubles()


@kinds(*ALL)
def test_dropped_for_5_s(kind_lab):
    # A kind without a network can lose its cable: no I/O has an answer, and what was under way goes on when it is back.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    with FaultWatch(lab, host) as watch:
        lab.storage(host, "hang" if storage_of(lab) in lab_storage.LOCAL else "drop")
        watch.begin_read()
        lab.run(host, "sleep", "5")
        lab.storage(host, "ok")
        code, seconds, _ = watch.end_read(30)
        assert code == 0 and seconds > 4
        lab.wait_well(START_SECONDS)
    assert lab.stays(before)


@kinds(*NETWORKED)
def test_dropped_for_90_s(kind_lab):
    # Until the VM runs elsewhere: sanlock's 8 x io_timeout + 60 are 84 s. Of a kind without a network it is test_hung.
    lab, host = kind_lab, kind_lab.vm_host()
    watch, read = vm_moves(lab, host, "drop")
    assert read is None or read[0] != 0 or read[1] > 20  # an error, where the kind has one for it
    assert watch.said_for() > DIES_SECONDS
    assert read is None or "lockspace: " in watch.troubles()


@kinds(*RETURNING)
def test_server_restarted(kind_lab):
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    with FaultWatch(lab, host) as watch:
        lab.storage("server", "stop")
        watch.begin_read()
        lab.run(host, "sleep", "4")
        lab.storage("server", "start")
        code, seconds, _ = watch.end_read(30)
        assert code == 0 and seconds > 3
        lab.wait_well(START_SECONDS)
    assert lab.stays(before)


# Gluster's own client comes back as well (test_connect); QEMU's does not.
@kinds("gluster")
def test_all_bricks_were_gone(kind_lab):
    # No client of QEMU's comes back by itself: sanlock ends the VM, and nobody runs it until an operator has the hosts'
    # storage daemons begin anew. Then it runs again, once, within the bound.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    with FaultWatch(lab, host) as watch:
        lab.storage("server", "stop")
        watch.begin_read()
        lab.wait("vm=none", DIES_SECONDS)
        lab.storage("server", "start")
        code, seconds, _ = watch.end_read(60)
        assert code != 0 or seconds > STUCK_SECONDS
        came_back = lab.command("wait", "vm=up", "--timeout", 15, timeout=60, check=False)
        assert came_back.returncode == 1, "it does come back: the manual and this case say otherwise"
        heal(lab, *lab.keys())
        lab.wait("vm=up && http=ok", TAKEOVER_SECONDS)
        lab.wait_well(START_SECONDS)
    # The guard may have ended the VM, and the server be back, before sanlock gives the lockspace up.
    assert "storage: " in watch.troubles()
    assert "lockspace: " in watch.troubles() or "the engine lease can't be read" in watch.troubles()
    assert not set(before) & set(lab.qemu())


@kinds(*ALL)
def test_all_hosts_lose_it(kind_lab):
    # It comes up once when the storage is back: by the witness no two together, and no second guest after the first.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    boots = {boot for _, _, boot, _ in lab.witness.ticks}
    with FaultWatch(lab, host) as watch:
        for key in lab.keys():
            lab.storage(key, "hang")
        watch.begin_read()
        lab.wait("vm=none", DIES_SECONDS)
        lab.run(host, "sleep", "5")
        heal(lab, *lab.keys())
        _, seconds, _ = watch.end_read(60)
        assert seconds > 8 * IO_TIMEOUT / 2
        lab.wait("vm=up && http=ok", TAKEOVER_SECONDS)
        lab.wait_well(START_SECONDS)
    assert watch.stuck() > STUCK_SECONDS
    assert not set(before) & set(lab.qemu())
    assert len({boot for _, _, boot, _ in lab.witness.ticks} - boots) <= 1


CONF = "/etc/ovirt-hosted-engine/hosted-engine.conf"
# What is said of bad storage. {fault: words}, and where a kind has words of its own {fault: {kind: words}}.
SAID = {
    "missing": {"iscsi": "No such device or address", "": "No such file or directory"},
    "missing export": {"iscsi": "Permission denied", "nfs3": "Permission denied", "": "No such file or directory"},
    "read-only": {"nfs3": "Permission denied", "": "Read-only file system"},
    "full": {"iscsi": "Input/output error", "": "No space left on device"},
    "cut short": "it ends before our block",
    "of another cluster": "belongs to another domain",
    "damaged whiteboard": "is no record we know",
    "damaged lockspace": "check that it is a lockspace",
}
READABLE = (("read-only", "block"), ("read-only", "iscsi"))  # a disk can be


@kinds(*ALL)
def test_bad_storage_of_one_host(kind_lab):
    # One line says it, nothing is written, and the host has no part in anything until it is right again.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    other = lab.others(host)[0]
    bad = bad_storage(lab, other)
    lab.run(other, "cp", CONF, f"{CONF}.right")
    for what in bad.faults:
        words = SAID[what] if isinstance(SAID[what], str) else SAID[what].get(storage_of(lab), SAID[what][""])
        lab.run(other, "systemctl", "stop", "ovirt-ha-agent", "ovirt-ha-broker", timeout=60)
        key, value = bad.make(what)
        line = f"{key}={value}".replace("&", r"\&")
        lab.run(other, "sh", "-ec", f"sed 's|^{key}=.*|{line}|' {CONF}.right >{CONF}; printf '{bad.named}' >>{CONF}; "
                "systemctl start ovirt-ha-broker ovirt-ha-agent", timeout=60)
        print(what, poll(lambda: words in (text := trouble(lab, other)) and text, 20,
                         lambda: f"{what}: nothing of {words!r} is said: {trouble(lab, other)}"))
        answers_of_commands(lab, other, what, value)
        assert lab.holds(f"score@{other}=0 && vm=up@{host} && http=ok && global=false"), what
        # Seen at the first write, and a record is written by members alone.
        if what not in ("full", "cut short") and (what, storage_of(lab)) not in READABLE:
            assert lab.holds(f"lockspace@{other}=none"), what
        assert not bad.written(), what
        lab.run(other, "systemctl", "stop", "ovirt-ha-agent", "ovirt-ha-broker", timeout=60)
        bad.unmake()
    lab.run(other, "sh", "-ec", f"mv {CONF}.right {CONF}; systemctl start ovirt-ha-broker ovirt-ha-agent", timeout=60)
    lab.wait_well(START_SECONDS)
    assert lab.stays(before)


def answers_of_commands(lab, host, what, place):
    """What an operator's commands say of it, and their exit codes: the broker answers whatever its storage does, and no word of
    the configuration is wrong; what needs the storage fails, with one line. Maintenance is left alone where an operator may
    write block 0 anew: it can be had, and what stands there is no other domain's."""
    shown = lab.operator(host, "--vm-status", "--json", check=False)
    assert shown.returncode == 0 and not json.loads(shown.stdout)["global_maintenance"], (what, shown)
    checked = lab.run(host, "/usr/libexec/ovirt-ha/ovirt-ha-broker", "-n", check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), (what, checked)
    if what not in ("cut short", "damaged whiteboard", "damaged lockspace"):
        refused = lab.operator(host, "--set-maintenance", "--mode=global", check=False)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), (what, refused)
    if what in ("missing", "missing export"):
        unread = lab.operator(host, "--dump-whiteboard", place, check=False)
        assert (unread.returncode, unread.stdout, unread.stderr.count("\n")) == (1, "", 1), (what, unread)
        assert unread.stderr.startswith(f"Cannot read {place}: "), (what, unread)


def trouble(lab, host):
    """What --vm-status says is wrong on a host, whose record may be nowhere."""
    said = lab.operator(host, "--vm-status").stdout
    return "\n".join(line for line in said.splitlines() if line.startswith("Trouble of this host's broker"))


@kinds("iscsi")
def test_wrong_chap_password(kind_lab):
    # The broker as a client of the target: with the right password as good as by any path.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    other = lab.others(host)[0]
    number = lab_storage.FILES.index("metadata") + 1
    spec = f"iscsi://{STORAGE_ADDRESS}/{IQN}:storage/{number}"

    def restart(password):
        lab.run(other, "sh", "-ec", f"sed -i '/^user=/d; /^password=/d; s|^metadata_path=.*|metadata_path={spec}|' {CONF}; "
                f"printf 'user={CHAP_USER}\npassword={password}\n' >>{CONF}; "
                "systemctl restart ovirt-ha-broker ovirt-ha-agent", timeout=60)
    lab.run(other, "cp", CONF, f"{CONF}.right")
    restart("not-the-password")
    poll(lambda: "Permission denied" in trouble(lab, other), 20, "nothing is said")
    refused = lab.operator(other, "--dump-whiteboard", spec, check=False)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert refused.stderr.startswith(f"Cannot read {spec}: Permission denied; ")
    restart(CHAP_PASSWORD)
    lab.wait_well(START_SECONDS)
    assert json.loads(lab.operator(other, "--dump-whiteboard", spec, "--json").stdout)[other]["hostname"] == f"h{other}"
    lab.run(other, "sh", "-ec", f"mv {CONF}.right {CONF}; systemctl restart ovirt-ha-broker ovirt-ha-agent", timeout=60)
    lab.wait_well(START_SECONDS)
    assert lab.stays(before)


FOLDER = "/run/ovirt-ha-storage"


def connection(lab):
    """Lines of hosted-engine.conf for a host that connects the kind itself, by a storage daemon of its own."""
    folder, numbers = f"{FOLDER}/{lab.lab.domain_uuid}", lab_storage.parts(lab.lab, lab.lab.required_settings())
    iscsi = storage_of(lab) == "iscsi"
    lines = {"domainType": storage_of(lab), "storage_driver": "userspace",
             "storage": STORAGE_ADDRESS if iscsi else f"{STORAGE_ADDRESS}:{lab_storage.folder(lab.lab)}"}
    if iscsi:
        lines |= {"port": IscsiServer.port, "iqn": f"{IQN}:storage", "lun": 1, "user": CHAP_USER, "password": CHAP_PASSWORD}
    for key, name in (("lockspace", "lockspace"), ("lease", "leases"), ("metadata", "metadata"), ("conf", "conf"), ("disk", "disk")):
        lines[f"{key}_path"] = f"{folder}/lun-{numbers[name]}" if iscsi else f"{folder}/{name}"
    return lines


REFUSED_CONNECTIONS = {
    "iscsi": (("password", "not-the-password", "Authentication failure"), ("iqn", f"{IQN}:none", "Target not found"),
              ("lockspace_path", "lun-77", "LUN")),
    "nfs3": (("storage", f"{STORAGE_ADDRESS}:/none", "MNT3ERR_"), ("lockspace_path", "none", "NFS3ERR_NOENT")),
}


@kinds("iscsi", "nfs3")
def test_connection_is_refused(kind_lab):
    # One line says why, and nothing is there that could be taken for storage.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    other = lab.others(host)[0]
    right, folder = connection(lab), f"{FOLDER}/{lab.lab.domain_uuid}"
    unit = f"ovirt-ha-storage-daemon@{lab.lab.domain_uuid}"
    lab.run(other, "sh", "-ec", f"systemctl stop ovirt-ha-agent ovirt-ha-broker; cp {CONF} {CONF}.right", timeout=60)

    def connect(lines):
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        lab.run(other, "sh", "-ec", f"sed '/_path=/d' {CONF}.right >{CONF}; printf '{text}' >>{CONF}")
        return lab.operator(other, "--connect-storage", check=False)
    for key, value, words in REFUSED_CONNECTIONS[storage_of(lab)]:
        done = connect(right | {key: f"{folder}/{value}" if key.endswith("_path") else value})
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), (key, done)
        assert done.stderr.startswith("The storage is not connected: ") and words in done.stderr, (key, done)
        # systemd goes on trying until then, with what is right too.
        done = lab.operator(other, "--disconnect-storage", check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
        assert lab.run(other, "systemctl", "is-active", unit, check=False).stdout in ("inactive\n", "failed\n")
        assert lab.run(other, "find", FOLDER, "-type", "f").stdout == ""
    done = connect(right)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    assert len(lab.run(other, "find", folder, "-type", "f").stdout.split()) == len(lab_storage.FILES)
    done = lab.operator(other, "--disconnect-storage", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    lab.run(other, "sh", "-ec", f"mv {CONF}.right {CONF}; systemctl start ovirt-ha-broker ovirt-ha-agent", timeout=60)
    lab.wait_well(START_SECONDS)
    assert lab.stays(before)


@kinds("nfs3", "nfs4")
def test_whiteboard_by_address(kind_lab):
    # The brokers as clients of the server: hosts see each other, and the VM goes over, as by any path.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    spec = f"nfs://{STORAGE_ADDRESS}{lab_storage.parts(lab.lab, lab.lab.required_settings())['metadata']}" \
           f"?version={storage_of(lab)[3:]}&uid={lab_storage.OWNER}&gid={lab_storage.OWNER}"
    line = f"metadata_path={spec}".replace("&", r"\&")

    def configure(key, script):
        lab.run(key, "sh", "-ec", f"{script}; systemctl restart ovirt-ha-broker ovirt-ha-agent", timeout=60)
    for key in lab.keys():
        configure(key, f"sed -i.right 's|^metadata_path=.*|{line}|' {CONF}")
    for key in lab.keys():
        poll(lambda: lab.own_status(key)["storage"]["write-age"] is not None, START_SECONDS, f"host {key} writes nothing")
        lab.wait_seen(key, START_SECONDS)
    assert lab.stays(before)
    assert set(json.loads(lab.operator(host, "--dump-whiteboard", spec, "--json").stdout)) == set(lab.keys())
    lab.wait_well(START_SECONDS)
    lab.vm("kill")
    lab.wait_elsewhere(host, START_SECONDS)
    for key in lab.keys():
        configure(key, f"mv {CONF}.right {CONF}")
    lab.wait_well(START_SECONDS)


FAULTY = "/run/ovirt-hosted-engine-ha/fault.socket"
ASK = f"import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.settimeout(5); s.bind(''); " \
      f"s.sendto(' '.join(sys.argv[1:]).encode(), '{FAULTY}'); print(s.recv(64).decode())"
# (fault of metadata/store_faulty.h, its ms, what the broker says). Stale, of the own record, is as if a write was lost.
LIES = (("torn", 0, "does not stand there"), ("lost", 0, "does not stand there"), ("stale", 0, "does not stand there"),
        ("eio", 0, "Input/output error"), ("late", 5000, "changed by somebody"), ("never", 0, "Connection timed out"),
        ("delay", 1000, "storage is slow"))
AGENT_CONF = "/etc/ovirt-hosted-engine-ha/agent.conf"


@kinds("path")
def test_store_that_lies(kind_lab):
    # A broker with a store that fails when told to: what was acknowledged and is not there, or was given up and lands over
    # what is newer, is seen and written again. Records of others that are of before have this host try for the VM, in vain.
    lab = kind_lab
    host, before = lab.vm_host(), lab.qemu()
    other = lab.others(host)[0]

    def store(*words):
        return lab.run(other, "/usr/bin/python3", "-c", ASK, *map(str, words)).stdout.strip()
    shutil.copy(f"{lab.build}/broker/ovirt-ha-broker-faulty", f"{lab.lab.host(other).root}/usr/libexec/")
    lab.run(other, "sh", "-ec", "mkdir -p /run/systemd/system/ovirt-ha-broker.service.d; printf '[Service]\nExecStart=\n"
            "ExecStart=/usr/libexec/ovirt-ha-broker-faulty\n' >/run/systemd/system/ovirt-ha-broker.service.d/faulty.conf; "
            f"cp {AGENT_CONF} {AGENT_CONF}.right; printf '[policy]\nloop=2\nstale=30\nowner_retry=5\n' >>{AGENT_CONF}; "
            "systemctl daemon-reload; systemctl restart ovirt-ha-broker ovirt-ha-agent", timeout=60)
    lab.wait_well(START_SECONDS)
    first = lab.run(other, "date", "+@%s").stdout.strip()
    for fault, ms, words in LIES:
        begun = lab.run(other, "date", "+@%s").stdout.strip()
        count = 6 if fault in ("stale", "delay") else 2  # reads for the others' records begin at this block too
        store(fault, count, other, ms)
        poll(lambda: store("ask") == f"fired {count}", START_SECONDS, f"{fault} did not happen")
        poll(lambda: words in journal(lab, other, "ovirt-ha-broker", begun), START_SECONDS, f"{fault}: nothing is said")
        lab.wait(f"score@{other}>0 && age@{other}<5", START_SECONDS)
        store("none")  # what never ends is stuck until then
        poll(lambda: "trouble" not in lab.own_status(other), START_SECONDS, f"{fault}: the trouble stays")
    # Not before: the others write each 10 s.
    assert "action start begun" not in journal(lab, other, "ovirt-ha-agent", first)
    begun = lab.run(other, "date", "+@%s").stdout.strip()
    store("stale", 0)
    poll(lambda: "action start ended outcome=lease-held" in journal(lab, other, "ovirt-ha-agent", begun), START_SECONDS,
         lambda: f"no try: {lab.own_status(other)}")
    assert lab.stays(before)
    store("none")
    poll(lambda: "trouble" not in lab.own_status(other), START_SECONDS, "the trouble stays")
    lab.run(other, "sh", "-ec", f"rm -r /run/systemd/system/ovirt-ha-broker.service.d; mv {AGENT_CONF}.right {AGENT_CONF}; "
            "systemctl daemon-reload; systemctl restart ovirt-ha-broker ovirt-ha-agent", timeout=60)
    lab.wait_well(START_SECONDS)
    assert lab.stays(before)
