"""A TCP proxy before Redis that can swallow everything without a close, as a cable does that is pulled out.

What was connected then stays dead for good: nothing that is sent on it arrives, and neither side is told. What connects
while it swallows is let in and hears nothing; what connects afterwards works.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Proxy:
    """Stands before a server on this machine; ``port`` is where."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: list[_Pair] = []
        self._swallowing = False
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """Swallow everything while the block runs, and for ever what comes over a connection from before its end."""
        with self._lock:
            self._swallowing = True
            for pair in self._pairs:
                pair.dead = True
        try:
            yield
        finally:
            with self._lock:
                self._swallowing = False

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            for pair in self._pairs:
                pair.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                try:
                    pair = _Pair(client, self._target, dead=self._swallowing)
                except OSError:  # the server is not there: the client is refused, as without us
                    client.close()
                    continue
                self._pairs.append(pair)


class _Pair:
    """One connection of a client, and ours to the server."""

    def __init__(self, client: socket.socket, target: int, *, dead: bool) -> None:
        self.dead = dead
        self._client = client
        self._server = socket.create_connection(("127.0.0.1", target), timeout=2)
        self._server.settimeout(None)
        for one in (client, self._server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((client, self._server), (self._server, client)):
            threading.Thread(target=self._pump, args=(source, sink), name="proxy-pump", daemon=True).start()

    def close(self) -> None:
        for one in (self._client, self._server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.dead:
                    sink.sendall(data)
        if not self.dead:
            self.close()
