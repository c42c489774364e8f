#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a store adds to the I/O that it does, on each kind of storage: medians of bench_store beside the same I/O done
bare by the same library, in turns, and their ratio beside its limit. Over the limit is a failure: a busy machine makes both
sides slower. A path's I/O is handed to a thread that may hang, and back, which a page cache of some 60 us shows and a
network does not: it has HAND_OVER_US more for each call. Called by tests/run --suite bench.
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys

TOP = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
sys.path[:0] = [f"{TOP}/tests/storage", f"{TOP}/tools/lab.d", f"{TOP}/tests/bench"]
sys.dont_write_bytecode = True

from bench_figures import record  # noqa: E402
from storage_kinds import BLOCKS, KINDS  # noqa: E402
from storage_space import BLOCK, Space  # noqa: E402
from lab_place import call  # noqa: E402

LIMIT, HAND_OVER_US = 1.2, 50
SECONDS = 300


@contextlib.contextmanager
def loop_device(path):
    device = call("losetup", "--find", "--show", "--direct-io=on", path).strip()
    try:
        yield device
    finally:
        call("losetup", "--detach", device)


def put_hosts(path, image):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(image, "rb") as source, open(path, "wb") as file:
        file.write(source.read(BLOCKS * BLOCK).ljust(BLOCKS * BLOCK, b"\0"))


def measure(build, kind, space, spec, *access):
    """Whether every row keeps to the limit."""
    enter = ("nsenter", f"--net=/run/netns/{space.name}", "--") if space else ()
    out = subprocess.run([*enter, f"{build}/tests/bench/bench_store", spec, *access], stdout=subprocess.PIPE, text=True,
                         check=True, timeout=SECONDS).stdout
    good = True
    for line in out.splitlines():
        what, calls, *times = line.split("|")
        bares, stores = ([float(word) for word in words.split(",")] for words in times)
        bare, store, calls = statistics.median(bares), statistics.median(stores), int(calls)
        ratio, limit = store / bare, LIMIT + (0 if space else HAND_OVER_US * calls / bare)
        record(f"{kind}: {what}", "x bare", limit, [time / bare for time in stores])
        good &= ratio <= limit
        print(f"{kind:<10} {what:<20} {calls:>5} {bare:>10.0f} {store:>10.0f} {ratio:>7.2f} {limit:>7.2f}"
              f"{'' if ratio <= limit else '  over'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=f"{TOP}/build")
    parser.add_argument("kinds", nargs="*", default=["path", "block", *KINDS])
    args = parser.parse_args()
    good, space = True, Space()
    print(f"{'':<10} {'medians of 100':<20} {'calls':>5} {'bare, us':>10} {'store, us':>10} {'ratio':>7} {'limit':>7}")
    try:
        image, path = f"{args.build}/tests/vectors/image-2000hosts.bin", f"{space.folder}/path/board"
        put_hosts(path, image)
        for name in args.kinds:
            if name == "path":
                good &= measure(args.build, name, None, path)
            elif name == "block":
                with loop_device(path) as device:
                    good &= measure(args.build, name, None, device)
            else:
                make, argument = KINDS[name]
                kind = make(space, argument)
                kind.prepare()
                put_hosts(kind.file, image)
                kind.server.start()
                good &= measure(args.build, name, space, kind.spec(), *kind.access)
                kind.server.stop()
    finally:
        space.down()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
