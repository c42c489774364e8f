# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a lab is like, seen from outside of its hosts, and the conditions of `wait`.

Every fact has its own way in and may be unknown (None): a record that can't be read, a host that doesn't
answer. A term about an unknown fact does not hold, with and without `!`. Changes nothing.
"""
import json
import os
import re

import lab_engine
import lab_network
import lab_storage
from lab_place import GUEST_ADDRESS, LabError, call, monotonic

UNITS = {"agent": "ovirt-ha-agent", "broker": "ovirt-ha-broker", "guard": "ovirt-ha-guard", "sanlock": "sanlock",
         "libvirtd": "libvirtd"}
HEALTH_PAGE = f"http://{GUEST_ADDRESS}/ovirt-engine/services/health"
TERM = re.compile(r"(!?)\s*([a-z-]+)(?:@(\w+))?\s*(<=|>=|=|<|>)\s*(\S+)$")


class Observation:
    """One look at the lab; asks for a fact when it is first wanted and then keeps it."""

    def __init__(self, lab):
        self.lab, self.kept = lab, {}

    def keep(self, name, ask):
        if name not in self.kept:
            self.kept[name] = ask()
        return self.kept[name]

    def engine(self):
        return self.keep("engine", lambda: lab_engine.processes(self.lab))

    def lease(self):
        return self.keep("lease", lambda: lab_storage.lease(self.lab))

    def health(self):
        """`ok` when the engine's page answers on the lab's network, else `none`."""
        def ask():
            out = call("ip", "netns", "exec", self.lab.switch, "curl", "-s", "-m", "1", HEALTH_PAGE, timeout=5,
                       check=False)
            return "ok" if out and out.startswith("DB Up!") else "none"
        return self.keep("health", ask)

    def whiteboard(self):
        """Blocks by number as the project's own reader sees them; None when it can't read, or isn't built."""
        def ask():
            reader = f"{self.lab.tree}/usr/sbin/hosted-engine"
            if not os.path.exists(reader):
                reader = f"{self.lab.tree}/usr/bin/hosted-engine"
            if not os.path.exists(reader):
                return None
            out = call(reader, "--dump-whiteboard", f"{lab_storage.folder(self.lab)}/metadata", "--json", timeout=5,
                       check=False)
            try:
                return json.loads(out) if out else None
            except ValueError:
                return None
        return self.keep("whiteboard", ask)

    def record(self, host):
        board = self.whiteboard()
        return None if board is None else board.get(str(host.host_id), {})

    def unit(self, host, unit):
        def ask():
            out = host.ask("systemctl", "show", "-p", "Id,ActiveState", *[f"{name}.service" for name in UNITS.values()])
            return dict(re.findall(r"Id=([\w-]+)\.service\nActiveState=(\w+)", swap(out))) if out else {}
        states = self.keep(f"units {host.key}", ask)
        return states.get(UNITS[unit]) if host.pid1() else "off"

    def lockspace(self, host):
        """`joined`, `none` or `off`; None while sanlock doesn't answer (then the unit's state tells why)."""
        def ask():
            if not host.pid1():
                return "off"
            out = host.ask("sanlock", "client", "status")
            if out is None:
                return None
            return "joined" if re.search(rf"^s {lab_storage.LOCKSPACE}:{host.host_id}:\S+:\d+$", out, re.M) else "none"
        return self.keep(f"lockspace {host.key}", ask)


def swap(text):
    """systemctl show prints properties in its own order; puts Id first in each unit's paragraph."""
    paragraphs = [sorted(paragraph.splitlines(), reverse=True) for paragraph in text.strip().split("\n\n")]
    return "\n".join("\n".join(lines) for lines in paragraphs)


def record_field(record, name):
    """`name` of a record: a key of --vm-status, or of its extra lines (state, timeout, reason ..)."""
    if record is None:
        return None
    if not record or "error" in record:
        return "none" if not record else None
    if name == "health":
        return (record.get("engine-status") or {}).get("health")
    if name == "vmstate":
        return (record.get("engine-status") or {}).get("vm")
    if name == "age":
        timestamp = record.get("host-ts")
        return None if timestamp is None else max(0, int(monotonic()) - timestamp)
    if name in ("score", "maintenance", "stopped"):
        value = record.get(name)
        return str(value).lower() if isinstance(value, bool) else value
    found = re.search(rf"^\s*{name}=(.*)$", str(record.get("extra", "")), re.M)
    return found.group(1) if found else record.get(name)


def fact(seen, name, key):
    """The value of a term's left side; None = unknown."""
    lab = seen.lab
    if name == "vm":
        hosts = sorted(set(seen.engine().values()))
        if key:
            lab.host(key)
            return "up" if key in hosts else "none"
        return "up" if hosts else "none"
    if name == "lease":
        lease = seen.lease()
        return None if lease is None else ("none" if lease["owner"] is None else lease["owner"])
    if name == "http":
        return seen.health()
    if name == "global":
        board = seen.whiteboard()
        block = None if board is None else board.get("0", {"maintenance": False})
        return None if block is None or "maintenance" not in block else str(block["maintenance"]).lower()
    if not key:
        raise LabError(f"'{name}' needs a host: {name}@1")
    host = lab.host(key)
    if name == "host":
        return "up" if host.pid1() else "off"
    if name == "lockspace":
        return seen.lockspace(host)
    if name in UNITS:
        return seen.unit(host, name)
    if name in ("state", "score", "health", "vmstate", "maintenance", "stopped", "age", "timeout", "reason"):
        return record_field(seen.record(host), name)
    raise LabError(f"no such term: {name} (there are vm, lease, http, global, host@N, lockspace@N, {', '.join(UNITS)}"
                   " @N, and of the record state, score, health, vmstate, maintenance, stopped, age @N)")


def compare(value, operator, wanted):
    if operator == "=":
        return str(value) == wanted
    try:
        left, right = float(value), float(wanted)
    except ValueError:
        return False
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator]


def parse(expression):
    terms = []
    for text in expression.split("&&"):
        found = TERM.match(text.strip())
        if not found:
            raise LabError(f"not a condition: '{text.strip()}'; write vm=up@2, state@1=EngineUp, score@1<2000, "
                           "lease=3, lease=none, agent@1=active, with ! before and && between")
        negate, name, key, operator, wanted = found.groups()
        if "@" in wanted:  # vm=up@2 reads better than vm@2=up
            wanted, key = wanted.split("@", 1)
        terms.append((negate == "!", name, key, operator, wanted))
    return terms


def holds(seen, terms):
    """(whether all terms hold, {left side: value} of those looked at)."""
    values, good = {}, True
    for negate, name, key, operator, wanted in terms:
        value = fact(seen, name, key)
        values[f"{name}@{key}" if key else name] = value
        good = good and value is not None and compare(value, operator, wanted) != negate
    return good, values


def collect(lab):
    """The whole state as an object, for --json."""
    seen, hosts = Observation(lab), {}
    engine = seen.engine()
    for host in lab.hosts():
        record = seen.record(host)
        hosts[host.key] = {
            "up": host.pid1() is not None, "pid1": host.pid1(), "network": {True: "up", False: "down"}.get(
                lab_network.is_plugged(host)), "storage": lab_storage.state(host), "lockspace": seen.lockspace(host),
            "units": {unit: seen.unit(host, unit) for unit in UNITS}, "record": record,
            "state": record_field(record, "state"), "score": record_field(record, "score"),
            "age": record_field(record, "age"), "qemu": [pid for pid, key in engine.items() if key == host.key]}
    return {"name": lab.name, "hosts": hosts, "lease": seen.lease(), "http": seen.health(),
            "global_maintenance": fact(seen, "global", None)}


def show(status):
    def cell(value):
        return "?" if value is None else str(value)
    rows = [("host", "up", "net", "storage", "lockspace", *UNITS, "state", "score", "age", "qemu")]
    for key, host in status["hosts"].items():
        rows.append((key, "up" if host["up"] else "off", cell(host["network"]), cell(host["storage"]),
                     cell(host["lockspace"]), *[cell(host["units"][unit]) for unit in UNITS],
                     *[cell(host[name]) for name in ("state", "score", "age")],
                     " ".join(map(str, host["qemu"])) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    lease = status["lease"]
    owner = "?" if lease is None else "none" if lease["owner"] is None else \
        f"host {lease['owner']} generation {lease['generation']}"
    lines.append(f"lease: {owner}   engine page: {status['http']}   global maintenance: "
                 f"{cell(status['global_maintenance'])}")
    return "\n".join(lines)
