#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real SMTP server (aiosmtpd) that keeps each mail it takes as FOLDER/N.json: when it came, from whom and to whom, over what,
and its bytes. Used by the mail suite and, in a lab's host, by the end-to-end cases. Prints `ready` when it listens."""
import argparse
import json
import os
import signal
import ssl
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Keep:
    def __init__(self, args):
        self.args, self.taken = args, len(os.listdir(args.folder))

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):
        self.taken += 1
        mail = {"wall": time.time(), "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
                "login": bool(session.authenticated), "text": envelope.content.decode()}
        path = f"{self.args.folder}/{self.taken}.json"
        with open(f"{path}.new", "w") as file:
            json.dump(mail, file)
        os.rename(f"{path}.new", path)
        return "250 kept"


class Place(Controller):
    """The server; TLS from the first byte is the socket's, STARTTLS is the dialogue's."""
    def __init__(self, args):
        self.args, self.context = args, None
        if args.certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(args.certificate)
        super().__init__(Keep(args), hostname=args.address, port=args.port,
                         ssl_context=self.context if args.tls == "tls" else None)

    def factory(self):
        options = {}
        if self.args.tls == "starttls":
            options.update(tls_context=self.context, require_starttls=True)
        if self.args.login:
            user, password = self.args.login.encode().split(b":", 1)

            def login(_server, _session, _envelope, _mechanism, data):
                good = isinstance(data, LoginPassword) and (data.login, data.password) == (user, password)
                return AuthResult(success=good, handled=good)
            options.update(authenticator=login, auth_required=True, auth_require_tls=self.args.tls == "starttls")
        return SMTP(self.handler, hostname="mail.example", **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", choices=("none", "starttls", "tls"), default="none")
    parser.add_argument("--certificate", help="PEM with certificate and key")
    parser.add_argument("--login", metavar="USER:PASSWORD")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    server = Place(args)
    server.start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    main()
