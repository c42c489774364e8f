#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the recorded images that are too large to keep: image-3hosts.bin, image-2000hosts.bin and its .json.

Usage: make_images.py OUTPUT_DIRECTORY. Everything comes from image-2000hosts.tsv (score and state of each host)
and the regularity of the recording; the result is compared with the digests of what was recorded, and anything
else than equal is an error. Called by the build of the tests; needs the standard library only.
"""
import hashlib
import json
import pathlib
import sys
import time
import zlib

BLOCK = 4096
LINE = 512
BLOCKS = 2001
EPOCH = 1792764000  # wall clock minus monotonic clock of every host
FIRST = 1834567  # timestamp of the recording

DIGESTS = {
    "image-3hosts.bin": "b98821ce3be4186ff7aa75b4625e8e5b7bcefe8fbd9170b595cb64e0279f4201",
    "image-2000hosts.bin": "f5efacf68b2f844db50b9423d6ef1a10d1dececfdf0c9d5218e48bdcea99c4ab",
    "image-2000hosts.json": "d12bb6d8337285a547cbd08d972c5df3ae650bba774b42ebb5873844467e3703",
}

DOWN = {"vm": "down", "health": "bad", "detail": "unknown", "reason": "vm not running on this host"}
ENGINE = {
    "EngineUp": {"vm": "up", "health": "good", "detail": "Up"},
    "EngineDown": DOWN,
    "LocalMaintenance": DOWN,
    "AgentStopped": DOWN,
    "EngineUnexpectedlyDown": {
        "vm": "down_unexpected", "health": "bad", "detail": "Down", "reason": "bad vm status"},
}


class Host:
    def __init__(self, host_id, timestamp, score, state):
        self.id, self.timestamp, self.score, self.state = host_id, timestamp, score, state
        self.maintenance = state == "LocalMaintenance"
        self.stopped = state == "AgentStopped"
        self.engine = ENGINE[state]
        self.name = f"host{host_id}.example.com"
        when = f"{timestamp} ({time.asctime(time.gmtime(timestamp + EPOCH))})"
        self.extra = "".join(f"{key}={value}\n" for key, value in (
            ("metadata_parse_version", 1), ("metadata_feature_version", 1), ("timestamp", when),
            ("host-id", host_id), ("score", score), ("vm_conf_refresh_time", when), ("conf_on_shared_storage", True),
            ("maintenance", self.maintenance), ("state", state), ("stopped", self.stopped)))
        self.crc = f"{zlib.crc32(self.line('00000000').encode()):08x}"

    def line(self, crc):
        return "|".join(str(field) for field in (
            1, 1, self.timestamp, self.id, self.score, json.dumps(self.engine), self.name,
            int(self.maintenance), int(self.stopped), crc, 1, self.timestamp))

    def block(self):
        text = self.extra.encode().ljust(BLOCK - LINE, b"\0")
        return self.line(self.crc).encode().ljust(LINE, b"\0") + text

    def answer(self):
        def result(engine):
            return {
                "host-id": self.id, "host-ts": self.timestamp, "score": self.score, "engine-status": engine,
                "hostname": self.name, "maintenance": self.maintenance, "stopped": self.stopped, "crc32": self.crc,
                "conf_on_shared_storage": True, "local_conf_timestamp": self.timestamp, "extra": self.extra}
        return {
            "parse_metadata_to_dict": {"ok": True, "result": result(json.dumps(self.engine))},
            "agent_process_remote_metadata": {
                "ok": True, "result": result(self.engine),
                "engine_status_score": {"ok": True, "result": 4 if self.engine["vm"] == "up" else 1}}}


def image(hosts):
    data = bytearray(BLOCKS * BLOCK)
    data[:13] = b"maintenance=0"
    for host in hosts:
        data[host.id * BLOCK:(host.id + 1) * BLOCK] = host.block()
    return bytes(data)


def answers(hosts, name, what):
    ids = [host.id for host in hosts]
    off = {"ok": True, "result": {"maintenance": False}}

    def stats(found):
        return {"ok": True, "result": {"host_ids": found}, "logged": []}
    return json.dumps({
        "file": name, "kind": "image", "what": what, "size_bytes": BLOCKS * BLOCK,
        "broker_get_raw_stats": {"ok": True, "result": {"host_ids_present": [0] + ids}},
        "hosts": {str(host.id): host.answer() for host in hosts},
        "global": {"parse_global_metadata_to_dict": off, "logged": [], "agent_process_global_metadata": off},
        "client_get_all_stats": {"ALL": stats([0] + ids), "HOST": stats(ids), "GLOBAL": stats([0])},
    }, indent=1) + "\n"


def main():
    directory = pathlib.Path(sys.argv[1])
    rows = (pathlib.Path(__file__).parent / "image-2000hosts.tsv").read_text().splitlines()[1:]
    hosts = []
    for row in rows:
        host_id, score, state = row.split("\t")
        hosts.append(Host(int(host_id), FIRST + int(host_id), int(score), state))
    three = [Host(host_id, FIRST, 3400, "EngineUp" if host_id == 1 else "EngineDown") for host_id in (1, 2, 3)]
    made = {
        "image-3hosts.bin": image(three),
        "image-2000hosts.bin": image(hosts),
        "image-2000hosts.json": answers(hosts, "image-2000hosts.bin", "all 2000 hosts present").encode(),
    }
    for name, data in made.items():
        digest = hashlib.sha256(data).hexdigest()
        if digest != DIGESTS[name]:
            sys.exit(f"{name}: made {digest}, recorded was {DIGESTS[name]}")
        (directory / name).write_bytes(data)


if __name__ == "__main__":
    main()
