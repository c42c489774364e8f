#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proves that the unit tests and the golden scenarios go both ways at every branch of core/, but for asserts.

    core_coverage.py SOURCE_ROOT SCRATCH

Compiles core/ with counters and its tests into SCRATCH, plays them there, and names each branch that nobody took, as
file:line. A branch that no input can reach belongs out of the code, not into a list of exceptions here.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-g", "-O0", "-fno-common"]
UNIT_TESTS = ["engine", "machine", "outlook", "peer", "policy", "score", "trace"]
GOLDEN = ["run_golden", "golden_world"]
WORKERS = 2
SECONDS = 120


def run(command, folder):
    done = subprocess.run(command, cwd=folder, timeout=SECONDS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout[-4000:]}\ncore_coverage: {' '.join(command[:3])} ..: exit {done.returncode}")
    return done.stdout


def assert_lines(path):
    """Numbers of the lines that belong to an assert, which may go over several."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = set()
    for found in re.finditer(r"\bassert\(", text):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        first = text.count("\n", 0, found.start()) + 1
        lines.update(range(first, text.count("\n", 0, end) + 2))
    return lines


def compile_all(top, scratch):
    """{test: program}; the objects of core/ count, those of the tests don't."""
    core = [name[:-2] for name in sorted(os.listdir(f"{top}/core")) if name.endswith(".c")]
    units = [f"test_{name}" for name in UNIT_TESTS if os.path.exists(f"{top}/tests/unit/test_{name}.c")]
    jobs = [(f"{top}/core/{name}.c", name, ["--coverage"]) for name in core]
    jobs += [(f"{top}/tests/unit/{name}.c", name, []) for name in units]
    jobs += [(f"{top}/tests/golden/{name}.c", name, []) for name in GOLDEN]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda job: run(["gcc", *FLAGS, *job[2], f"-I{top}", "-c", job[0], "-o", f"{job[1]}.o"],
                                      scratch), jobs))
    objects = [f"{name}.o" for name in core]
    for name in units:
        run(["gcc", "--coverage", f"{name}.o", *objects, "-lcmocka", "-o", name], scratch)
    run(["gcc", "--coverage", *(f"{name}.o" for name in GOLDEN), *objects, "-o", "run_golden"], scratch)
    return core, units


def untaken(report, top):
    """(taken, of how many, [what nobody took]) of all files in gcovr's report."""
    taken = total = 0
    missing = []
    for entry in report["files"]:
        path = f"{top}/core/{os.path.basename(entry['file'])}"
        asserts = assert_lines(path)
        for line in entry["lines"]:
            number = line["line_number"]
            if number in asserts or line["gcovr/noncode"]:
                continue
            counts = [branch["count"] for branch in line["branches"]]
            total += len(counts)
            taken += sum(1 for count in counts if count)
            where = f"core/{os.path.basename(path)}:{number}"
            if line["count"] == 0:
                missing.append(f"{where}: never run")
            elif 0 in counts:
                missing.append(f"{where}: {counts.count(0)} of {len(counts)} branches never taken {counts}")
    return taken, total, missing


def main():
    top, scratch = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    core, units = compile_all(top, scratch)
    golden = f"{top}/tests/golden"
    scenarios = [f"{golden}/{name}" for name in sorted(os.listdir(golden)) if name.endswith(".scenario")]
    for name in units:
        run([f"./{name}"], scratch)
    run(["./run_golden", *scenarios], scratch)
    report = json.loads(run(["gcovr", "--json", "--root", top, "--object-directory", scratch,
                             "--filter", f"{re.escape(top)}/core/.*\\.c", "."], scratch))
    seen = {os.path.basename(entry["file"]) for entry in report["files"]}
    lost = [f"core/{name}.c: no counters" for name in core if f"{name}.c" not in seen]
    taken, total, missing = untaken(report, top)
    for line in lost + missing:
        print(line)
    print(f"core/: {taken} of {total} branches taken, asserts aside; {len(scenarios)} scenarios, {len(units)} unit tests")
    return 1 if lost or missing or not total else 0


if __name__ == "__main__":
    sys.exit(main())
