# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person sees of the demo: steps with their time, and the hosts, drawn anew in a terminal or as log lines.

Shows only; waits for nothing and asks the lab nothing. Called by tools/demo.
"""
import re
import shutil
import sys

MARKS = {None: "  ", True: "ok", False: "!!"}
BOLD, GREEN, RED, DIM, OFF = "\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m"
RUNS, WAITS = "runs here", "waits for the lease"
CONTROL = re.compile(r"[^\x20-\x7e]")  # a record is untrusted: no escape code of it reaches the terminal


def clean(value):
    return "-" if value is None else CONTROL.sub("?", str(value))


class PlainView:
    """One line per event, for logs."""

    def __init__(self):
        self.before = None

    def step(self, step):
        if self.before is None:
            print("hN: host N's state/score; vm: where the engine VM is; lease: its owner on the storage; page: the engine's own")
        print(f"-- {step['name']}", flush=True)

    def progress(self, steps, status, doing, seconds):
        now = (doing, line_of(status))
        if now != self.before:
            print(f"   {seconds:6.1f} s  {doing}: {now[1]}", flush=True)
            self.before = now

    def done(self, step):
        print(f"{MARKS[step['ok']]} {step['name']}: {step['seconds']:.1f} s, host {clean(step['host_before'])} -> "
              f"{clean(step['host_after'])}{away(step)}{'' if step['ok'] else '  ' + step['reason']}", flush=True)

    def close(self):
        pass


def away(step):
    return "" if step["gap"] is None else f", page away {step['gap']:.2f} s"


def line_of(status):
    if status is None:
        return "the lab is being made"
    hosts = " ".join(f"h{key}={'off' if not host['up'] else clean(host['state'])}/{clean(host['score'])}"
                     for key, host in status["hosts"].items())
    return f"{hosts} vm@{where(status)} lease={lease(status)} page={status['http']}"


def where(status):
    waits = [key for key in status["hosts"] if vm_of(status, key) == WAITS]
    return ("+".join(key for key in status["hosts"] if vm_of(status, key) == RUNS) or "none") + \
        (f" ({'+'.join(waits)} {'wait' if waits[1:] else 'waits'})" if waits else "")


def vm_of(status, key):
    """A QEMU on another host than the lease's owner is paused: it tries to get the lease."""
    held = status["lease"]
    if not status["hosts"][key]["qemu"]:
        return ""
    return RUNS if held is None or str(held["owner"]) == key else WAITS


def lease(status):
    held = status["lease"]
    return "?" if held is None else "none" if held["owner"] is None else f"host {held['owner']}"


class TerminalView:
    """The whole picture, drawn over itself."""

    def __init__(self):
        self.drawn = 0

    def step(self, step):
        pass

    def progress(self, steps, status, doing, seconds):
        lines = ["", f"{BOLD}Three hosts keep one engine VM alive{OFF}", ""]
        for step in steps:
            if step["ok"] is None and step["seconds"] is None:
                lines.append(f"  {DIM}   {step['name']}{OFF}")
            elif step["ok"] is None:
                lines.append(f"  {BOLD}>> {step['name']}{OFF}  {seconds:5.1f} s  {doing}")
            else:
                colour = GREEN if step["ok"] else RED
                lines.append(f"  {colour}{MARKS[step['ok']]}{OFF} {step['name']}  {DIM}{step['seconds']:5.1f} s  host "
                             f"{clean(step['host_before'])} -> {clean(step['host_after'])}{away(step)}{OFF}")
        lines.append("")
        if status is not None:
            lines.append(f"  {BOLD}{'host':<6}{'':<5}{'state':<24}{'score':>6}{'age':>6}  {'engine VM':<19}{OFF}")
            for key, host in status["hosts"].items():
                colour = RED if not host["up"] else GREEN if vm_of(status, key) == RUNS else ""
                age = "" if host["age"] is None else f"{host['age']} s"
                lines.append(f"  {colour}{'h' + key:<6}{'up' if host['up'] else 'off':<5}{clean(host['state']):<24}"
                             f"{clean(host['score']):>6}{age:>6}  {vm_of(status, key):<19}{OFF}")
            lines.append("")
            lines.append(f"  lease: {lease(status)}   engine page: {status['http']}   global maintenance: "
                         f"{clean(status['global_maintenance'])}")
        self.draw(lines)

    def draw(self, lines):
        width = shutil.get_terminal_size().columns
        out = [f"\033[{self.drawn}A"] if self.drawn else []
        out += [f"{self.cut(line, width)}\033[K\n" for line in lines]
        out += ["\033[J"]
        sys.stdout.write("".join(out))
        sys.stdout.flush()
        self.drawn = len(lines)

    @staticmethod
    def cut(line, width):
        """At most `width` columns; escape codes of our own take none."""
        kept, columns = [], 0
        for part in re.split(r"(\033\[\d+m)", line):
            if part.startswith("\033"):
                kept.append(part)
            else:
                kept.append(part[:max(0, width - columns)])
                columns += len(part)
        return "".join(kept)

    def done(self, step):
        pass

    def close(self):
        self.drawn = 0


def table(steps):
    """The last word: one row per step."""
    rows = [("", "step", "seconds", "host", "lease", "")]
    for step in steps:
        seconds = "-" if step["seconds"] is None else f"{step['seconds']:.1f}"
        rows.append((MARKS[step["ok"]] if step["ok"] is not None else "--", step["name"], seconds,
                     f"{clean(step['host_before'])} -> {clean(step['host_after'])}",
                     f"{clean(step['lease_before'])} -> {clean(step['lease_after'])}", away(step)[2:]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)
