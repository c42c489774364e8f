#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every file, function and test that tests/SAFETY.md names exists, and every rule that binds has a line. Says what is missing;
it can't say whether a test fails without its guard. Run by meson with the source tree's top."""
import re
import sys

RULES = {*range(1, 17)}


def missing(top, cell):
    """Names of one cell that are not there: `file: name, name; file: name`, and scenarios without a file."""
    for part in cell.split("; "):
        path, colon, names = part.partition(": ")
        if not colon:
            for scenario in part.split(", "):
                listed = f"'{scenario}'" in open(f"{top}/tests/golden/meson.build").read()
                if not listed:
                    yield f"scenario {scenario}"
            continue
        try:
            text = open(f"{top}/{path}").read()
        except OSError:
            yield path
            continue
        for name in names.split(", "):
            if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w])", text):
                yield f"{path}: {name}"


def main(top):
    rules, bad = set(), []
    for line in open(f"{top}/tests/SAFETY.md"):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|") or len(cells) != 3 or cells[1] in ("kept by", "---"):
            continue
        rules |= {int(number) for number in re.findall(r"^\d+|(?<=, )\d+(?= )", cells[0])}
        for cell in cells[1:]:
            bad += missing(top, cell)
    bad = [f"{what} is not there" for what in bad]
    bad += [f"rule {rule} has no line" for rule in sorted(RULES - rules)]
    for what in bad:
        print(f"tests/SAFETY.md: {what}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
