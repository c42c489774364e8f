#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The figures of all benches: each bench adds its own, a line of JSON each, to the file that OVIRT_HA_BENCH_FIGURES
names; here they become one table, bench.json and a picture of bars against their limits.

A figure is {name, unit, limit, values}; limit null: nothing is stated for it. Judges nothing: a median beyond its limit is
marked, and a busy machine makes any of it slower. Called by tests/run --suite bench, record() by the benches in Python.
"""
import argparse
import json
import os
import statistics
import sys
from xml.sax.saxutils import escape

ROW, TOP, LEFT, BARS, RIGHT = 26, 64, 400, 460, 250
RATIO_MAX = 2  # what is over it is drawn as so long, with its number
GOOD, OVER, SPREAD, INK, FAINT = "#4c9f70", "#d1495b", "#26323a", "#26323a", "#7d8a93"


def record(name, unit, limit, values):
    path = os.environ.get("OVIRT_HA_BENCH_FIGURES")
    if path:
        with open(path, "a") as file:
            file.write(json.dumps({"name": name, "unit": unit, "limit": limit, "values": list(values)}) + "\n")


def summary(figure):
    """As bench.json has it; ratio: of the median to its limit, null where none is stated or the limit of nothing is passed."""
    values, limit = figure["values"], figure["limit"]
    median = statistics.median(values)
    if limit is None or limit == 0 < median:
        ratio = None
    else:
        ratio = median / limit if limit else 0.0
    numbers = {"min": min(values), "median": median, "max": max(values), "limit": limit, "ratio": ratio}
    return {"name": figure["name"], "unit": figure["unit"], "n": len(values),
            **{key: None if value is None else float(f"{value:.6g}") for key, value in numbers.items()}}


def read(path):
    """In the order in which they were measured."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [summary(json.loads(line)) for line in file]


def is_over(row):
    return row["limit"] is not None and row["median"] > row["limit"]


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def print_table(rows):
    print(f"{'figure':<52} {'unit':<10} {'n':>4} {'min':>8} {'median':>8} {'max':>8} {'limit':>8} {'ratio':>6}")
    for row in rows:
        numbers = " ".join(f"{number(row[key]):>8}" for key in ("min", "median", "max", "limit"))
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(f"{row['name']:<52} {row['unit']:<10} {row['n']:>4} {numbers} {ratio:>6}{'  over' if is_over(row) else ''}")
    stated = [row for row in rows if row["limit"] is not None]
    print(f"{len(stated) - sum(map(is_over, stated))} of {len(stated)} figures with a limit are within it")


def svg(rows):
    """Bars of the medians as parts of their limits, lines over them from min to max; those without a limit are left out."""
    rows = [row for row in rows if row["limit"] is not None]
    width, height = LEFT + BARS + RIGHT, TOP + ROW * len(rows) + 30
    most = min(RATIO_MAX, max([1.2] + [RATIO_MAX if row["ratio"] is None else row["ratio"] * 1.05 for row in rows]))
    unit = BARS / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif" font-size="13">', f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="16" y="26" font-size="17" fill="{INK}">What was measured, as parts of the limits</text>',
           f'<text x="16" y="46" fill="{FAINT}">bar: median; line: least to most</text>']
    for at, row in enumerate(rows):
        y, over = TOP + ROW * at, is_over(row)

        def x(value):
            part = value / row["limit"] if row["limit"] else (RATIO_MAX if value > 0 else 0)
            return LEFT + unit * min(max(part, 0), most)
        if at % 2 == 0:
            out.append(f'<rect x="0" y="{y}" width="{width}" height="{ROW}" fill="#f5f7f8"/>')
        out.append(f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end" fill="{INK}">{escape(row["name"])}</text>')
        out.append(f'<rect x="{LEFT}" y="{y + 5}" width="{max(x(row["median"]) - LEFT, 1):.1f}" height="{ROW - 10}" '
                   f'fill="{OVER if over else GOOD}"/>')
        out.append(f'<path d="M{x(row["min"]):.1f} {y + ROW / 2}H{x(row["max"]):.1f}" stroke="{SPREAD}" stroke-width="1.5"/>')
        words = f'{number(row["median"])} of {number(row["limit"])} {row["unit"]}, n {row["n"]}'
        out.append(f'<text x="{LEFT + BARS + 12}" y="{y + 17}" fill="{OVER if over else INK}">{escape(words)}</text>')
    end = TOP + ROW * len(rows)
    out.append(f'<path d="M{LEFT + unit:.1f} {TOP - 6}V{end + 4}" stroke="{OVER}" stroke-width="1.5" '
               f'stroke-dasharray="5 3"/><text x="{LEFT + unit:.1f}" y="{TOP - 10}" text-anchor="middle" fill="{OVER}">limit'
               f'</text><path d="M{LEFT} {TOP}V{end}" stroke="{FAINT}"/></svg>')
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", help="file with a line of JSON per figure")
    parser.add_argument("folder", help="where bench.json and bench.svg go")
    args = parser.parse_args()
    rows = read(args.figures)
    print_table(rows)
    with open(f"{args.folder}/bench.json", "w") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    with open(f"{args.folder}/bench.svg", "w") as file:
        file.write(svg(rows))
    print(f"written: {args.folder}/bench.json, {args.folder}/bench.svg")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
