# SPDX-License-Identifier: LGPL-2.1-or-later
"""A network namespace with real storage servers in it, and a store that is driven there by tests/storage/store_drive.

All of it is temporary: one folder below /tmp, one namespace whose processes are what is to be ended. Spaces of runs that
were killed are taken down by the next one, and by this file as a program. Decides nothing about what a case expects.
"""
import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
sys.path.insert(0, f"{TOP}/tools/lab.d")

from lab_place import call  # noqa: E402

ADDRESSES, SILENT = ("10.77.0.1", "10.77.0.2"), "10.77.0.9"  # where servers listen; what is sent to the other is lost
BLOCK = 4096
SPACE, FOLDER = re.compile(r"ovhast(\d+)[a-z]*"), re.compile(r"ovhast(\d+)[a-z]*\..*")


def until(ask, seconds, what):
    """Waits until `ask` holds; its value. `what` is said when it does not come true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return answer


def remove_space(name):
    for pid in (call("ip", "netns", "pids", name, check=False) or "").split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    until(lambda: not (call("ip", "netns", "pids", name, check=False) or "").split(), 10, f"end of processes of {name}")
    call("ip", "netns", "delete", name, check=False)


def remove_folder(folder):
    if os.path.ismount(f"{folder}/full"):
        call("umount", f"{folder}/full")
    shutil.rmtree(folder)


def run_is_over(found):
    return found and not os.path.exists(f"/proc/{found.group(1)}")


def remove_left_behind():
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        if run_is_over(SPACE.fullmatch(name)):
            remove_space(name)
    for folder in os.listdir(tempfile.gettempdir()):  # also of one that was killed before or after its namespace
        if run_is_over(FOLDER.fullmatch(folder)):
            remove_folder(f"{tempfile.gettempdir()}/{folder}")


class Space:
    def __init__(self, name=""):
        """`name`: letters, for one beside another of this process."""
        remove_left_behind()
        self.name = f"ovhast{os.getpid()}{name}"
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}.")
        os.chmod(self.folder, 0o755)
        self.full = f"{self.folder}/full"  # a file system without room
        os.mkdir(self.full)
        call("mount", "-t", "tmpfs", "-o", "size=256k", "full", self.full)
        call("ip", "netns", "add", self.name)
        try:
            self.ip("link", "set", "lo", "up")
            # Not of 127/8: servers look for addresses of a network that is there.
            for address in (*ADDRESSES, SILENT):
                self.ip("address", "add", f"{address}/24", "dev", "lo")
            self.drop("-d", SILENT)
        except BaseException:
            self.down()
            raise

    def ip(self, *words):
        return call("ip", "-n", self.name, *words)

    def inside(self, *words):
        return call("nsenter", f"--net=/run/netns/{self.name}", "--", *words)

    def drop(self, *match):
        self.inside("iptables", "-A", "OUTPUT", *match, "-j", "DROP")

    def let_through(self, *match):
        self.inside("iptables", "-D", "OUTPUT", *match, "-j", "DROP")

    def unsent(self, port):
        """Connections to the port that still have bytes to send, whoever closed them."""
        out = self.inside("ss", "-Htan", f"dport = :{port}")
        return [line for line in out.splitlines() if int(line.split()[2]) > 0]

    def down(self):
        remove_space(self.name)
        remove_folder(self.folder)


class Store:
    """One store_drive. Answers come when they come: each is waited for by its word and queue."""

    def __init__(self, space, program, spec, *access):
        """`program`: its path, or that with what begins it before."""
        program = (program,) if isinstance(program, str) else program
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{space.name}", "--", *program, spec, *access],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lines = queue.Queue()
        self.kept = []
        threading.Thread(target=self.listen, daemon=True).start()
        self.opened = self.take("open")

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line.split())
        self.lines.put(["end"])

    def take(self, *begin, seconds=20):
        """The words behind `begin` of the next line that begins so."""
        deadline = time.monotonic() + seconds
        for words in list(self.kept):
            if words[:len(begin)] == list(begin):
                self.kept.remove(words)
                return words[len(begin):]
        while True:
            try:
                words = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no answer {' '.join(begin)} in {seconds} s") from None
            if words[:len(begin)] == list(begin):
                return words[len(begin):]
            assert words != ["end"], f"store_drive ended: {self.process.wait()}"
            self.kept.append(words)

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")

    def read(self, first, count=1, ms=5000, which=2):
        """(error, ms, runs): runs of blocks as [[byte or None, count]]."""
        self.say("read", which, first, count, ms)
        return self.read_end(which)

    def read_end(self, which=2):
        error, ms, *runs = self.take("read", str(which))
        parted = (run.split("*") for run in runs)
        return int(error), int(ms), [[None if byte == "mixed" else int(byte, 16), int(n)] for byte, n in parted]

    def write(self, block, byte, ms=5000, which=0):
        """(error, ms)"""
        self.say("write", which, block, f"{byte:02x}", ms)
        return self.write_end(which)

    def write_end(self, which=0):
        error, ms = self.take("write", str(which))
        return int(error), int(ms)

    def health(self):
        """(threads that hang, ms since when it is stuck or None)"""
        self.say("health")
        stuck, since = self.take("health")
        return int(stuck), None if since == "-1" else int(since)

    def gap(self):
        self.say("gap")
        return int(self.take("gap")[0])

    def close(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(10) == 0
        finally:
            self.process.kill()


if __name__ == "__main__":
    remove_left_behind()
