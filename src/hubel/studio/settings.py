"""Settings of the server: address, access and limits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields

from hubel.core.errors import OptionError
from hubel.core.language import find_language
from hubel.core.ranges import check_range

__all__ = ["LOOPBACK", "ServerSettings"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = ("0.0.0.0", "::", "")
_MIB = 2**20
_ALLOWED = re.compile(r"\*|(?:\*\.)?[^\s:/@\[\]*]+|\[?[0-9a-f:.]*:[0-9a-f:.]*\]?", re.IGNORECASE)
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_MOST = 2**40


@dataclass(frozen=True)
class ServerSettings:
    """Address, access and limits of a server; times are in seconds, sizes in bytes.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 is any free one.
        allow_hosts: further names that a request's Host and Origin may have, beside those of this computer;
            `*.example.org` stands for all names below example.org, `*` for all names.
        root_path: path below which a proxy publishes the server, such as /hubel; requests may have it or not.
        token: token that requests must carry as `Authorization: Bearer`; None requires none.
        max_body: largest body of a request.
        max_bodies: largest sum of the bodies in memory.
        max_parts: most images in a request.
        decode_memory: most memory for decoding one image; limits its pixels, see `hubel.studio.uploads`.
        queue: most images of one model in progress.
        batch: most images in a batch.
        batch_wait: longest time that an image waits for others to fill its batch.
        max_queue_wait: longest expected wait in the queue; beyond it, further images are refused.
        deadline: longest time from a request's last byte to its response.
        connections: most open connections.
        head_timeout: longest time to receive a request's head.
        body_timeout: longest time to receive a request's body.
        idle_timeout: longest idle time of a connection between requests; whole seconds.
        write_timeout: longest time that a client may take to receive its response.
        watch: count predictions and watch for drift, in `/metrics`; see `hubel.studio.watch`.
        lang: language of the page, "en" or "ko"; that which the browser prefers if empty.
        linger: time during which the rest of a refused body is read, so that the client gets the response.

    Raises:
        OptionError: a value is out of its range, or two contradict each other.
        UnknownNameError: there is no page in this language.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allow_hosts: tuple[str, ...] = ()
    root_path: str = ""
    token: str | None = field(default=None, repr=False)
    max_body: int = 32 * _MIB
    max_bodies: int = 48 * _MIB
    max_parts: int = 32
    decode_memory: int = 160 * _MIB
    queue: int = 64
    batch: int = 8
    batch_wait: float = 0.005
    max_queue_wait: float = 1.5
    deadline: float = 10.0
    connections: int = 256
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: int = 15
    write_timeout: float = 10.0
    linger: float = 1.0
    watch: bool = False
    lang: str = ""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.name not in ("port", "batch_wait", "linger", "watch") and isinstance(value, int | float):
                if not value > 0:
                    raise OptionError(f"{setting.name} is above 0, not {value}")
                check_range(setting.name, value, 0, _MOST)
        if self.lang:
            find_language(self.lang)
        if not 0 <= self.port < 2**16:
            raise OptionError(f"a port is a number from 0 to 65535, not {self.port}")
        if self.max_parts > self.queue:
            raise OptionError(f"a queue of {self.queue} has no room for a request of {self.max_parts} images")
        if self.max_body > self.max_bodies:
            raise OptionError(f"max_body, {self.max_body:,} bytes, is above max_bodies, {self.max_bodies:,}")
        for name in self.allow_hosts:
            if not _ALLOWED.fullmatch(name):
                raise OptionError(f"a host is a name such as photos.example.org or *.example.org, not {name!r}")
        if not _ROOT_PATH.fullmatch(self.root_path):
            raise OptionError(
                f"a root path is a path such as /hubel, without a slash at its end, not {self.root_path!r}"
            )
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token):
            raise OptionError("a token is made of printable ASCII characters, without spaces")

    def knows(self, host: str) -> bool:
        """Return whether Host and Origin may have this name, in lower case."""
        allowed = {name.lower().strip("[]") for name in self.allow_hosts}
        domains = tuple(name[1:] for name in allowed if name.startswith("*"))  # "*" itself leaves "", the end of all
        return host in {*LOOPBACK, self.host.lower(), *allowed} - set(_ANY) or host.endswith(domains)

    @property
    def everywhere(self) -> bool:
        """Return whether `host` stands for all addresses of this computer."""
        return self.host in _ANY
