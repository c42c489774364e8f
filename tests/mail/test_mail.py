# SPDX-License-Identifier: LGPL-2.1-or-later
"""ovirt-ha-notify and hosted-engine --test-alert against a real SMTP server with TLS and a login, one that is away, one that
hangs; and the operator's command. Everything is on loopback and in a temporary folder."""
import email
import email.policy
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

BUILD = os.environ["OVIRT_HA_BUILD"]
HERE = os.path.dirname(os.path.realpath(__file__))
PASSWORD = "s3cret with blanks"
TEMPLATE = """From: {source-email}
To: {destination-emails}
Subject: ovirt-hosted-engine state transition {detail}

{hostname}: {detail}, \N{GREEK SMALL LETTER ALPHA}
.a line with a dot
"""


def poll(ask, seconds, what):
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return answer


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Place:
    """Configuration, spool, sender and server of one case."""
    def __init__(self, folder):
        self.folder, self.port, self.running, self.sequence = str(folder), free_port(), [], 1000
        self.spool, self.mails_folder = f"{folder}/var/spool", f"{folder}/mails"
        self.log, self.password = f"{folder}/log", f"{folder}/password"
        self.environment = {**os.environ, "OVIRT_HA_CONF_DIR": f"{folder}/etc", "OVIRT_HA_STATE_DIR": f"{folder}/var"}
        for name in ("var/spool", "mails", "etc/ovirt-hosted-engine", "etc/ovirt-hosted-engine-ha/notifications"):
            os.makedirs(f"{folder}/{name}")
        with open(f"{folder}/etc/ovirt-hosted-engine/hosted-engine.conf", "w") as file:
            file.write("vmid=8f3c2f6e-6c1e-4a53-9d5a-7d2b7e0f1a01\n")
        with open(f"{folder}/etc/ovirt-hosted-engine-ha/notifications/state_transition.txt", "w", encoding="utf-8") as file:
            file.write(TEMPLATE)
        self.write_password(PASSWORD)
        self.configure()

    def write_password(self, password, mode=0o600):
        with open(self.password, "w") as file:
            file.write(password + "\n")
        os.chmod(self.password, mode)

    def configure(self, notify="", **settings):
        values = {"smtp-server": "127.0.0.1", "smtp-port": self.port, "smtp-timeout": 5, "smtp-retry": "500ms",
                  "source-email": "ha@example.com", "destination-emails": "a@example.com, b@example.com",
                  **{key.replace("_", "-"): value for key, value in settings.items()}}
        with open(f"{self.folder}/etc/ovirt-hosted-engine-ha/broker.conf", "w") as file:
            file.write("[email]\n" + "".join(f"{key}={value}\n" for key, value in values.items()) + f"[notify]\n{notify}\n")

    def start(self, *command, **options):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=self.environment, **options)
        self.running.append(process)
        return process

    def script(self, text):
        path = f"{self.folder}/script"
        with open(f"{path}.new", "w") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(file.name, 0o755)
        os.rename(file.name, path)
        return path

    def serve(self, *options):
        server = self.start(sys.executable, "-B", f"{HERE}/mail_server.py", self.mails_folder, "--port", str(self.port),
                            *options, stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "ready\n"
        return server

    def send(self):
        with open(self.log, "a") as log:
            return self.start(f"{BUILD}/notify/ovirt-ha-notify", "-f", "-d", stderr=log)

    def end(self, process, number=signal.SIGKILL):
        process.send_signal(number)
        process.wait(10)
        if process.stdout:
            process.stdout.close()
        self.running.remove(process)

    def transition(self, old="EngineDown", new="EngineStart", kind="event", text=None):
        """As the agent writes it."""
        self.sequence += 1
        path = f"{self.spool}/{self.sequence:020}.{kind}"
        if text is None:
            text = (f"time={int(time.time())}\nhost=h1.example.com\nfrom={old}\nto={new}\nreason=best-score\nscore=3400\n"
                    "whole=yes\n")
        with open(f"{path}.new", "w") as file:
            file.write(text)
        os.rename(f"{path}.new", path)

    def mails(self):
        found = []
        for path in sorted(glob.glob(f"{self.mails_folder}/*.json"), key=os.path.getmtime):
            with open(path) as file:
                found.append(json.load(file))
        return found

    def wait_mails(self, n, seconds=5):
        return poll(lambda: len(mails := self.mails()) >= n and mails, seconds, f"not {n} mails: {self.said()}")

    def spooled(self):
        return sorted(os.listdir(self.spool))

    def wait_empty(self, seconds=5):
        poll(lambda: not self.spooled(), seconds, f"still in the spool: {self.spooled()} {self.said()}")

    def said(self):
        with open(self.log) as file:
            return file.read()

    def test_alert(self, *options):
        return subprocess.run([f"{BUILD}/tools/hosted-engine", "--test-alert", *options], env=self.environment, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    for process in list(place.running):
        place.end(process)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key", "-out", f"{folder}/ca"], check=True,
                   stderr=subprocess.DEVNULL)
    with open(f"{folder}/both", "wb") as both:
        for name in ("key", "ca"):
            with open(f"{folder}/{name}", "rb") as part:
                both.write(part.read())
    return folder


def read(mail):
    return email.message_from_bytes(mail["text"].encode(), policy=email.policy.default)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_transition_is_mailed_once(place, certificate, tls):
    place.serve("--tls", tls, "--certificate", f"{certificate}/both", "--login", f"ha:{PASSWORD}")
    place.configure(smtp_tls=tls, smtp_ca=f"{certificate}/ca", smtp_user="ha", smtp_password_file=place.password)
    place.send()
    place.transition("EngineDown", "LocalMaintenance")
    begun = time.time()
    mail = place.wait_mails(1)[0]
    assert mail["wall"] - begun < 1
    assert (mail["from"], mail["to"]) == ("ha@example.com", ["a@example.com", "b@example.com"])
    assert mail["login"] and (mail["tls"] or tls == "tls")
    message = read(mail)
    assert message["Subject"] == "ovirt-hosted-engine state transition EngineDown-LocalMaintenance"
    assert (message["From"], message["To"]) == ("ha@example.com", "a@example.com, b@example.com")
    assert message["Message-ID"].startswith("<1001.1001.") and message["Date"]
    assert message.get_content().splitlines() == [
        "h1.example.com: EngineDown-LocalMaintenance, \N{GREEK SMALL LETTER ALPHA}", ".a line with a dot"]
    place.wait_empty()
    time.sleep(0.5)  # a second one would be under way
    assert PASSWORD not in place.said() and len(place.mails()) == 1


def test_the_password_is_a_credential_of_systemd(place, certificate):
    """Which guards it itself: the mode of its copy says who may read it by an ACL."""
    os.mkdir(f"{place.folder}/credentials")
    with open(f"{place.folder}/credentials/smtp-password", "w") as file:
        file.write(PASSWORD)
    os.chmod(file.name, 0o440)
    place.environment["CREDENTIALS_DIRECTORY"] = f"{place.folder}/credentials"
    place.serve("--tls", "starttls", "--certificate", f"{certificate}/both", "--login", f"ha:{PASSWORD}")
    place.configure(smtp_tls="starttls", smtp_ca=f"{certificate}/ca", smtp_user="ha")
    place.send()
    place.transition()
    assert place.wait_mails(1)[0]["login"]


def test_the_shared_configuration_goes_over_the_own(place):
    place.serve()
    place.configure(smtp_port=free_port())
    with open(f"{place.folder}/var/broker.conf", "w") as file:
        file.write(f"[email]\nsmtp-port={place.port}\ndestination-emails=c@example.com\n")
    place.send()
    place.transition()
    assert place.wait_mails(1)[0]["to"] == ["c@example.com"]


def test_what_nobody_wants_to_hear_of(place):
    place.serve()
    place.configure(notify="state_transition=^engineDOWN-EngineStart$")
    place.send()
    place.transition("EngineStart", "EngineStarting")
    place.transition(text="time=1\nhost=h\nfrom=EngineDown\n")
    place.transition()
    place.wait_empty()
    place.wait_mails(1)
    assert "is damaged" in place.said() and len(place.mails()) == 1


def test_test_alert_tells_what_to_correct(place, certificate):
    both, ca = f"{certificate}/both", f"{certificate}/ca"
    with_login = {"smtp_tls": "starttls", "smtp_ca": ca, "smtp_user": "ha", "smtp_password_file": place.password}
    place.send()
    server = place.serve("--tls", "starttls", "--certificate", both, "--login", f"ha:{PASSWORD}")

    def refused(words, **settings):
        place.configure(**settings)
        done = place.test_alert()
        assert done.returncode == 1 and words in done.stderr and not done.stdout, done
        assert PASSWORD not in done.stderr and not place.spooled()

    place.configure(**with_login)
    done = place.test_alert()
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == "The mail server 127.0.0.1 has taken the test alert for a@example.com, b@example.com\n"
    assert read(place.wait_mails(1)[0])["Subject"].endswith("Test-Alert")

    place.configure(**with_login, destination_emails="nobody@example.com,b@example.com")
    done = place.test_alert("--json")
    answer = json.loads(done.stdout)
    assert answer.pop("detail") == done.stderr.rstrip("\n")
    assert answer == {"taken": True, "server": "127.0.0.1", "receivers": "nobody@example.com,b@example.com"}
    assert done.returncode == 1 and "of receiver <nobody@example.com>: 550 5.1.1 no such user" in done.stderr, done
    assert place.wait_mails(2)[1]["to"] == ["b@example.com"]

    refused("of receiver <nobody@example.com>: 550 5.1.1", **with_login, destination_emails="nobody@example.com")
    refused("is not trusted", **{**with_login, "smtp_ca": ""})
    refused("smtp-ca /nowhere can't be used", **{**with_login, "smtp_ca": "/nowhere"})
    refused("no TLS with", **{**with_login, "smtp_tls": "tls"})
    place.write_password("wrong")
    refused("refuses the login of ha; check smtp-user and its password", **with_login)
    place.write_password(PASSWORD, 0o644)
    refused("can be read by others; chmod 600", **with_login)
    refused("smtp-user has no password", **{**with_login, "smtp_password_file": ""})
    place.write_password(PASSWORD)
    place.end(server)
    refused("no connection to 127.0.0.1", **with_login)
    place.serve()
    refused("offers no STARTTLS", **with_login)
    with open(f"{place.folder}/etc/ovirt-hosted-engine-ha/broker.conf", "w") as file:
        file.write("[email]\nsmtp-tls=perhaps\n")
    done = place.test_alert("--json")
    assert done.returncode == 1 and "smtp-tls=perhaps: is not a word for this key" in done.stderr, done
    assert json.loads(done.stdout) == {"taken": None, "server": None, "receivers": None,
                                       "detail": "No alert is sent until broker.conf is right"}
    assert len(place.mails()) == 2 and PASSWORD not in place.said()


def test_the_server_is_away_for_a_while(place):
    """The sender dies meanwhile: the mail comes once all the same, and the command is not run again."""
    told = f"{place.folder}/told"
    script = place.script(f"cat >>{told}")
    place.configure(notify=f"command={script}")
    sender = place.send()
    place.transition("EngineUp", "EngineDown")
    poll(lambda: "is not sent, tried again: no connection" in place.said(), 5, "the failure is not said")
    place.end(sender)  # a reset of the host
    assert place.spooled() == ["00000000000000001001.mail"]
    place.send()
    time.sleep(1.2)  # let it be refused again
    place.serve()
    place.wait_mails(1)
    place.wait_empty()
    time.sleep(1)  # a second one would be under way
    assert len(place.mails()) == 1
    assert place.said().count("is not sent") == 2, "once for each sender"
    with open(told) as file:
        assert file.read().count("\n") == 1


@pytest.mark.parametrize("by", ["settings", "test-alert"])
def test_mail_that_was_just_set_up_is_not_kept_waiting(place, by):
    """After failures whose next try is a minute away."""
    place.configure(smtp_retry="60s")
    place.send()
    place.transition()
    poll(lambda: "is not sent, tried again" in place.said(), 10, "it did not fail")
    place.serve()
    if by == "settings":
        place.configure(smtp_retry="60s", source_email="other@example.com")
        place.transition("EngineStart", "EngineUp")
    else:
        assert place.test_alert().returncode == 0
    place.wait_mails(2)
    place.wait_empty()


def test_what_was_mended_is_tried_at_once(place, certificate):
    """Whichever file it stands in: no other transition comes, and the next try is a minute away."""
    good = {"smtp_retry": "60s", "smtp_tls": "starttls", "smtp_ca": f"{place.folder}/ca", "smtp_user": "ha",
            "smtp_password_file": place.password}
    place.serve("--tls", "starttls", "--certificate", f"{certificate}/both", "--login", f"ha:{PASSWORD}")
    place.configure(**good)
    place.send()

    def told(words, mend):
        before = len(place.mails())
        place.transition()
        poll(lambda: words in place.said(), 10, f"not said: {words}: {place.said()}")
        time.sleep(0.3)
        assert len(place.mails()) == before
        mend()
        place.wait_mails(before + 1)
        place.wait_empty()
    told("smtp-ca", lambda: shutil.copy(f"{certificate}/ca", f"{place.folder}/ca"))
    place.write_password("wrong")
    told("refuses the login of ha", lambda: place.write_password(PASSWORD))
    os.chmod(place.password, 0o644)
    told("can be read by others", lambda: os.chmod(place.password, 0o600))
    place.configure(**good, smtp_port=free_port())
    told("no connection to", lambda: place.configure(**good))
    place.configure(**{**good, "smtp_tls": "perhaps"})
    told("no alert is sent until broker.conf is right", lambda: place.configure(**good))


def test_the_server_hangs(place):
    """It takes the connection and says nothing: the command runs at once all the same, and the mail comes in the end."""
    told = f"{place.folder}/told"
    script = place.script(f"cat >>{told}")
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", place.port))
        silent.listen()
        place.configure(notify=f"command={script}", smtp_timeout=2)
        place.send()
        for n in range(3):
            begun = time.monotonic()
            place.transition()
            poll(lambda: os.path.exists(told) and open(told).read().count("\n") == n + 1, 1, f"command: {place.said()}")
            assert time.monotonic() - begun < 1
        poll(lambda: "was not done within 2 s" in place.said(), 5, "the silence is not said")
    place.serve()
    place.wait_mails(3, 15)
    place.wait_empty()
    with open(told) as file:
        events = [json.loads(line) for line in file]
    assert [event["sequence"] for event in events] == [1001, 1002, 1003]
    assert {key: events[0][key] for key in ("host", "from", "to", "detail", "reason", "score")} == {
        "host": "h1.example.com", "from": "EngineDown", "to": "EngineStart", "detail": "EngineDown-EngineStart",
        "reason": "best-score", "score": 3400}


def test_commands_are_bounded(place):
    """Six at once: four run, each is killed with its children, then the others do; a failure is logged, all are mailed."""
    seen = f"{place.folder}/seen"
    os.mkdir(seen)
    script = place.script(f"touch {seen}/$$\nsleep 60 & wait")
    place.serve()
    place.configure(notify=f"command={script}\ncommand_timeout=1s")
    for _ in range(6):
        place.transition()
    place.send()
    poll(lambda: len(os.listdir(seen)) == 4, 5, "not four")
    time.sleep(0.3)
    assert len(os.listdir(seen)) == 4
    poll(lambda: len(os.listdir(seen)) == 6, 5, "not six")
    poll(lambda: place.said().count("took too long and was killed") == 6, 5, place.said())
    place.wait_mails(6)
    place.wait_empty()
    place.script("echo not today >&2\nexit 3")
    place.transition()
    poll(lambda: "not today" in place.said() and "failed, exit status 3" in place.said(), 5, place.said())


def test_what_can_not_be_taken_out(place):
    """A folder in the place of a transition: it is said, not in a circle, and not before the others if nobody has looked at it."""
    place.serve()
    os.mkdir(f"{place.spool}/{1:020}.event")
    place.send()
    for n in range(2):
        place.transition()
        place.wait_mails(n + 1)
    assert place.said().count("can't be taken on, tried again: Is a directory") == 1
    os.rmdir(f"{place.spool}/{1:020}.event")
    os.mkdir(f"{place.spool}/{2:020}.mail")
    place.transition()
    poll(lambda: "can't be removed: Is a directory" in place.said(), 5, place.said())
    time.sleep(0.5)
    assert place.said().count("can't be removed") < 5, place.said()


def test_a_thousand_transitions_are_few_mails(place):
    place.serve()
    place.configure(notify="mails_per_minute=5")
    place.send()
    for _ in range(1000):
        place.transition()
    poll(lambda: len(place.mails()) == 5 or not place.spooled(), 30, place.said())
    # Each is told of in one of the mails, or waits for the next minute's.
    told = sum(int(words[-3]) + 1 if (words := read(mail)["Subject"].split())[-2:] == ["before", "it"] else 1
               for mail in place.mails())
    assert len(place.mails()) <= 5 and told > 100
    assert poll(lambda: told + len(place.spooled()) == 1000, 5, f"{told} told, {len(place.spooled())} wait")


def test_check(place):
    def check():
        done = subprocess.run([f"{BUILD}/notify/ovirt-ha-notify", "-n"], env=place.environment, timeout=10, stderr=subprocess.PIPE,
                              text=True)
        return done.returncode, done.stderr
    assert check() == (0, "")
    place.configure(notify="state_transition=(up")
    code, words = check()
    assert code == 2 and "state_transition=(up: is not a regular expression: a ( or ) without the other" in words
    place.write_password(PASSWORD, 0o640)
    place.configure(notify="command=/nowhere", smtp_user="ha", smtp_password_file=place.password)
    with open(f"{place.folder}/etc/ovirt-hosted-engine-ha/notifications/state_transition.txt", "w") as file:
        file.write("Bcc: x@example.com\n\nx")
    code, words = check()
    assert code == 2 and PASSWORD not in words
    for what in ("can be read by others", "command=/nowhere", "a header that is not the template's", "in clear"):
        assert what in words, words
