# SPDX-License-Identifier: LGPL-2.1-or-later
"""For how long the engine's page is away: asked from the lab's switch each 20 ms, whether the last one answers or not.

A process of its own, since it lives in the switch's network; it ends when its stdin does, and prints the longest time between
two good answers in seconds. Judges nothing. Used by the demo and the bench.
"""
import os
import selectors
import socket
import subprocess
import sys

from lab_place import GUEST_ADDRESS, LabError, monotonic

PERIOD_SECONDS = 0.02
GIVEN_UP_SECONDS = 0.5  # a question: more that wait at once are more than a small guest bears
END_SECONDS = 5.0
QUESTION = b"GET /ovirt-engine/services/health HTTP/1.0\r\n\r\n"
GOOD = b"DB Up!"


class ServiceGap:
    """Begins to ask at once; `longest` ends it."""

    def __init__(self, lab):
        self.process = subprocess.Popen(["ip", "netns", "exec", lab.switch, sys.executable, "-B", os.path.realpath(__file__)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        start_new_session=True)  # ^C of the terminal is for who asked
        self.process.stdout.readline()  # it has had an answer

    def longest(self):
        try:
            output = self.process.communicate(timeout=END_SECONDS)[0]
        except subprocess.TimeoutExpired:
            raise LabError("the page's asker does not end") from None
        finally:
            self.end()
        if self.process.returncode:
            raise LabError("the engine's page does not answer any more")
        return float(output)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def ask(selector, now):
    asker = socket.socket()
    asker.setblocking(False)
    asker.connect_ex((GUEST_ADDRESS, 80))
    selector.register(asker, selectors.EVENT_WRITE, [now, b""])


def go_on(selector, key):
    """True when that was the whole of a good answer."""
    try:
        if key.events == selectors.EVENT_WRITE:
            key.fileobj.send(QUESTION)
            selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
            return False
        chunk = key.fileobj.recv(4096)
    except OSError:
        chunk = b""
    key.data[1] += chunk
    good = GOOD in key.data[1]
    if good or not chunk:
        forget(selector, key)
    return good


def forget(selector, key):
    selector.unregister(key.fileobj)
    key.fileobj.close()


def main():
    selector, last, longest = selectors.DefaultSelector(), None, 0.0
    selector.register(sys.stdin, selectors.EVENT_READ)
    due, ending = monotonic(), None
    first_by = due + END_SECONDS
    while (ending is None or monotonic() < ending) and (last is not None or monotonic() < first_by):
        for key, _ in selector.select(max(0, due - monotonic())):
            if key.fileobj is sys.stdin:
                selector.unregister(sys.stdin)
                ending = monotonic() + GIVEN_UP_SECONDS  # what is away at the end is seen, too
            elif go_on(selector, key):
                now = monotonic()
                if last is None:
                    print("answers", flush=True)
                else:
                    longest = max(longest, now - last)
                last = now
        now = monotonic()
        if now >= due:
            ask(selector, now)
            due = now + PERIOD_SECONDS
        for key in [key for key in selector.get_map().values() if key.data and key.data[0] < now - GIVEN_UP_SECONDS]:
            forget(selector, key)
    if last is None or monotonic() - last > 1:
        return 1
    print(f"{longest:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
