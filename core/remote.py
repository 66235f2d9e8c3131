"""Names of models that another server runs, as they stand in settings.toml: what is written, not what answers there.

A name is the base address of an OpenAI-compatible server with the model behind a ``#``, such as
``http://gpu-1:8000/v1#Qwen/Qwen2.5-7B-Instruct``. Before the host may stand, followed by an ``@``, which variable
holds the key. The client that asks the server is in workers/engine/remote.py.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_KEY = "OPENAI_API_KEY"
KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_API_KEY")  # core/logs.py keeps what such a variable holds out of the logs


@dataclass(frozen=True)
class RemoteModel:
    """A model on a server: its base address, its name there, and the variable that may hold a key."""

    url: str
    model: str
    key_variable: str

    @property
    def host(self) -> str:
        """The server's name and port."""
        return urlsplit(self.url).netloc

    @property
    def in_clear(self) -> bool:
        """Does what is sent to it cross a network unencrypted?"""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        return parts.scheme == "http" and host not in ("localhost", "::1") and not host.startswith("127.")


def is_remote(name: str) -> bool:
    """Say whether a model's name means one on a server, well written or not."""
    return name.lower().startswith(("http://", "https://"))


def parse(name: str) -> RemoteModel:
    """Return what a name means; raises ValueError, whose text shows nothing that could be a secret."""
    try:
        parts = urlsplit(name)
        port = parts.port
    except ValueError:  # whose text may show a key that stands where it does not belong
        raise ValueError("it is no address, or its port no number: write http://HOST:PORT/v1#MODEL") from None
    if not parts.hostname:
        raise ValueError("it has no host: write http://HOST:PORT/v1#MODEL")
    if not parts.fragment:
        raise ValueError(f"it names no model: write {parts.scheme}://HOST:PORT/v1#MODEL")
    if parts.password is not None or (parts.username and not KEY_VARIABLE.fullmatch(parts.username)):
        raise ValueError(
            f"a key does not belong into an address. Put it into {DEFAULT_KEY} in .env, or into a variable whose name "
            "ends in _API_KEY, and write that name, then @, before the host"
        )
    if parts.query:
        raise ValueError("an address of a server has no question mark: what stands behind it would be logged")
    if port == 0:
        raise ValueError("no server has port 0")
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    return RemoteModel(url, parts.fragment, parts.username or DEFAULT_KEY)
