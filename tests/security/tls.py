"""A Redis behind TLS with a certificate authority of its own, and a user with a password.

The server that Rapport brings along speaks no TLS, so Python's ssl ends it before the server, as a stunnel or a cloud
provider's proxy does.
"""

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rapport.stack import answers, find_server
from rapport.supervisor import Launch, spawn
from tests.waiting import eventually

# No more rights than docs/security.md says are needed.
RULES = ("~*", "&*", "+@all", "-@admin", "-@dangerous", "+info")
USER, PASSWORD = "rapport", "hunter2/with:signs@"


@dataclass(frozen=True)
class Secured:
    """The server: ``url`` with everything right, and what a test needs to get something wrong."""

    port: int
    authority: Path
    greetings: list[bytes]

    def url(self, *, host: str = "localhost", password: str = PASSWORD, authority: Path | None = None) -> str:
        """Return an address of it."""
        secret = f"{USER}:{quote(password, safe='')}"
        return f"rediss://{secret}@{host}:{self.port}/0?ssl_ca_certs={quote(str(authority or self.authority))}"


@contextmanager
def secured_redis(folder: Path) -> Iterator[Secured]:
    """Run the server and the end of TLS while the block runs."""
    path = folder / "redis.sock"
    rules = ["--user", "default", "off", "--user", USER, "on", f">{PASSWORD}", *RULES]
    options = ["--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--save", ""]
    launch = Launch((str(find_server()[0]), *options, *rules))
    with spawn(launch, folder, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: answers(f"unix://{USER}:{quote(PASSWORD, safe='')}@{path}"))
        authority = certificate(folder, "authority")
        certificate(folder, "server", signed_by="authority")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        greetings: list[bytes] = []

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                greetings.append(self.request.recv(16, socket.MSG_PEEK))
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(self.request, server_side=True) as inside,
                    socket.socket(socket.AF_UNIX) as outside,
                ):
                    outside.connect(str(path))
                    back = threading.Thread(target=_copy, args=(outside, inside), daemon=True)
                    back.start()
                    _copy(inside, outside)

        class Proxy(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            address_family = socket.AF_INET

        with Proxy(("127.0.0.1", 0), Connection) as proxy:
            threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
            yield Secured(proxy.server_address[1], authority, greetings)
            proxy.shutdown()
        process.kill()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def certificate(folder: Path, name: str, signed_by: str | None = None) -> Path:
    """Make a certificate for localhost, or of an authority if nobody signs it; return its file."""
    made = folder / f"{name}.pem"
    what = "subjectAltName=DNS:localhost" if signed_by else "basicConstraints=critical,CA:true"
    by = ["-CA", f"{folder}/{signed_by}.pem", "-CAkey", f"{folder}/{signed_by}.key"] if signed_by else []
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", what, "-days", "2", *by]
    command += ["-keyout", f"{folder}/{name}.key", "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made
