#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a store adds to the I/O that it does, on each kind of storage: medians of bench_store beside the same I/O done
bare by the same library, in turns, and their ratio beside its limit. Over the limit is a failure: a busy machine makes both
sides slower. The library of a network waits for the network as the store's loop does. A path's call does not come back
from storage that hangs, so whoever has to go on hands it to a thread and waits for that one: done bare, too, it is that which a
path is measured against. The ratio to the call in place, where one may hang with it, stands beside and has no limit: two
threads have to wake up, which a disk of some 60 us shows. Called by tests/run --suite bench.
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

LIMIT = 1.2
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
        *bares, stores = ([float(word) for word in words.split(",")] for words in times)
        in_place, bare, store = (statistics.median(values) for values in (bares[0], bares[-1], stores))
        record(f"{kind}: {what}", "x bare", LIMIT, [time / bare for time in stores])
        if len(bares) > 1:
            record(f"{kind}: {what}", "x in place", None, [time / in_place for time in stores])
        within = store / bare <= LIMIT
        good &= within
        print(f"{kind:<10} {what:<20} {calls:>5} {in_place:>12.0f} {bare:>10.0f} {store:>10.0f} {store / in_place:>10.2f} "
              f"{store / bare:>7.2f} {LIMIT:>7.2f}{'' if within else '  over'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=f"{TOP}/build")
    parser.add_argument("kinds", nargs="*", default=["path", "block", *KINDS])
    args = parser.parse_args()
    good, space = True, Space()
    print(f"{'':<10} {'medians of 100':<20} {'calls':>5} {'in place, us':>12} {'bare, us':>10} {'store, us':>10} "
          f"{'x in place':>10} {'x bare':>7} {'limit':>7}")
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
