# SPDX-License-Identifier: LGPL-2.1-or-later
"""An iSCSI portal that sends whoever logs in on to the address of its second argument, any text; it listens at the
first one. Servers take addresses alone for it. Run by test_stores.py in its network namespace; ends by being killed."""
import socket
import sys

with socket.create_server((sys.argv[1], 3260)) as listener:
    print("listening", flush=True)
    while True:
        peer = listener.accept()[0]
        with peer, peer.makefile("rb") as asked:
            header = asked.read(48)
            asked.read((int.from_bytes(header[5:8], "big") + 3) // 4 * 4)
            text = f"TargetAddress={sys.argv[2]}\0".encode()
            answer = bytearray(48)
            answer[0] = 0x23  # login response
            answer[5:8] = len(text).to_bytes(3, "big")
            answer[8:14], answer[16:20] = header[8:14], header[16:20]  # session, task
            answer[36:38] = 1, 1  # the target has moved, for now
            peer.sendall(answer + text.ljust((len(text) + 3) // 4 * 4, b"\0"))
