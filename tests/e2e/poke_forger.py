# SPDX-License-Identifier: LGPL-2.1-or-later
"""A member of the brokers' process group that forges pokes: malformed, of other clusters, of any host and with any number.

Run by test_corosync.py inside a host of the lab as root, by `python3 -c`: GROUP SECONDS OWN_ID. Sends as fast as corosync takes
them, prints how many it took.
"""
import ctypes
import random
import struct
import sys
import time

GROUP, SECONDS, OWN_ID = sys.argv[1].encode(), float(sys.argv[2]), int(sys.argv[3])
OK, AGREED = 1, 2
POKE = struct.Struct(">4sHHQQII")  # broker/poke.h


class Name(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("value", ctypes.c_char * 128)]


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


def cluster(group):
    number = 0xcbf29ce484222325
    for byte in group.removeprefix(b"ovirt-ha/"):
        number = (number ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return number


def forged(count):
    kind = random.randrange(8) if count > 1 else 7  # heeded as one host's, or nothing more of it would be
    host = random.randrange(1, 2001) if kind == 0 else OWN_ID
    if kind == 1:
        return random.randbytes(random.randrange(1, 200))
    message = POKE.pack(b"oHaP", 2 if kind == 2 else 1, host, cluster(GROUP) + (kind == 3), count, 2, 0)
    return message[:-1] if kind == 4 else message


cpg, handle = ctypes.CDLL("libcpg.so.4"), ctypes.c_uint64()
callbacks = (ctypes.c_void_p * 2)()
assert cpg.cpg_initialize(ctypes.byref(handle), callbacks) == OK
assert cpg.cpg_join(handle, ctypes.byref(Name(len(GROUP), GROUP))) == OK
sent, end = 0, time.monotonic() + SECONDS
while time.monotonic() < end:
    text = forged(sent + 1)
    if cpg.cpg_mcast_joined(handle, AGREED, ctypes.byref(Piece(text, len(text))), 1) == OK:
        sent += 1
    cpg.cpg_dispatch(handle, 2)
    time.sleep(0.001)
print(sent)
