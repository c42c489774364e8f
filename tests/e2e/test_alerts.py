# SPDX-License-Identifier: LGPL-2.1-or-later
"""Alerts of a host whose maintenance changes, to a real mail server in that host: each transition is told of once, within a
second; after the server was away, the sender killed and the agent restarted; while the server hangs nothing else is slower."""
import contextlib
import email
import email.policy
import json
import os
import re
import shutil
import time

import pytest

from lab_driver import TOP, poll

MAILS = "/root/mails"
SERVER = ("systemd-run", "--quiet", "--unit=mail", "/usr/bin/python3", "-B", "/root/mail_server.py", MAILS, "--port", "2525")
MAIL = ("--set", "broker.email.smtp-server=127.0.0.1", "--set", "broker.email.smtp-port=2525", "--set", "broker.email.smtp-timeout=3",
        "--set", "broker.email.smtp-retry=1", "--set", "broker.notify.state_transition=.", "--set", "agent.policy.loop=2")


class Post:
    """The mail server in a host, and what it took."""
    def __init__(self, lab, host):
        self.lab, self.host, self.root = lab, host, f"{lab.lab.folder}/hosts/{host}/root"
        shutil.copy(f"{TOP}/tests/mail/mail_server.py", f"{self.root}/root/mail_server.py")

    def serve(self):
        self.lab.run(self.host, *SERVER)

    def mails(self):
        found = []
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(f"{self.root}{MAILS}"):
                if name.endswith(".json"):
                    with open(f"{self.root}{MAILS}/{name}") as file:
                        found.append(json.load(file))
        return sorted(found, key=lambda mail: mail["wall"])

    def told(self):
        """Every transition that the mails tell of."""
        details = []
        for mail in self.mails():
            message = email.message_from_bytes(mail["text"].encode(), policy=email.policy.default)
            listed = re.findall(r"^\S+ \S+ UTC (\S+) reason=", message.get_content(), re.M)
            details += listed or [message["Subject"].split()[-1]]
        return details

    def taken(self):
        """[(seconds, transition)] of the agent's log."""
        lines = self.lab.run(self.host, "journalctl", "-q", "--no-pager", "-o", "short-unix", "-u", "ovirt-ha-agent").stdout
        return [(float(when), f"{old}-{new}") for when, old, new in
                re.findall(r"^(\S+) .*: state (\w+) -> (\w+) reason=", lines, re.M)]

    def wait_told(self, since, seconds, what):
        """Exactly what the agent did after its first `since` transitions has been mailed, in that order, and no more."""
        def all_told():
            return [detail for _, detail in self.taken()][since:] == self.told()
        poll(all_told, seconds, f"{what}: {self.taken()[since:]} but told {self.told()}")


@pytest.mark.lab("-n", "1", *MAIL)
def test_alerts(lab):
    post = Post(lab, 1)
    # What came before the server was there is delivered first.
    post.serve()
    post.wait_told(0, 20, "the first transitions")

    before = len(post.taken())
    lab.operator(1, "--set-maintenance", "--mode=global")
    post.wait_told(0, 10, "global maintenance")
    (when, detail), mail = post.taken()[before], post.mails()[-1]
    assert detail == "EngineUp-GlobalMaintenance" and 0 <= mail["wall"] - when < 1, mail["wall"] - when
    assert lab.operator(1, "--test-alert").stdout.startswith("The mail server 127.0.0.1 has taken the test alert")
    shutil.rmtree(f"{post.root}{MAILS}")
    since = len(post.taken())

    # The server is away; the sender dies, and the agent is started anew.
    lab.run(1, "systemctl", "stop", "mail")
    lab.operator(1, "--set-maintenance", "--mode=none")
    lab.wait("state@1=EngineUp", 20)
    refused = lab.operator(1, "--test-alert", check=False)
    assert refused.returncode == 1 and "no connection to 127.0.0.1 port 2525" in refused.stderr
    lab.run(1, "systemctl", "kill", "-s", "KILL", "ovirt-ha-notify")
    lab.run(1, "systemctl", "restart", "ovirt-ha-agent")
    lab.wait("state@1=EngineUp", 20)
    assert not post.mails()
    lab.run(1, "systemctl", "reset-failed", "mail", check=False)
    post.serve()
    post.wait_told(since, 30, "after the server was away")

    # It hangs: maintenance takes no longer.
    lab.run(1, "systemctl", "kill", "-s", "STOP", "mail")
    begun = time.monotonic()
    lab.operator(1, "--set-maintenance", "--mode=global")
    lab.wait("state@1=GlobalMaintenance", 5)
    assert time.monotonic() - begun < 10
    lab.operator(1, "--set-maintenance", "--mode=none")
    lab.wait("state@1=EngineUp", 20)
    lab.run(1, "systemctl", "kill", "-s", "CONT", "mail")
    poll(lambda: lab.run(1, "ls", "/var/lib/ovirt-hosted-engine-ha/spool").stdout == "", 30, "the spool is not empty")
    # What the server took while it could not answer may come twice.
    assert {detail for _, detail in post.taken()[since:]} == set(post.told())
    lab.wait_well(30)
