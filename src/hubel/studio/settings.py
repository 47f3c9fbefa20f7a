"""What a server is told: where it listens, whom it answers, and where it stops."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields

from hubel.core.errors import OptionError

__all__ = ["LOOPBACK", "Settings"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = ("0.0.0.0", "::", "")
_MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, sizes in bytes.

    Attributes:
        host: the address to listen on.
        port: likewise; 0 is any free one.
        allow_hosts: names, beside those of this computer, that a request's Host and Origin may have.
        token: what a request must carry as `Authorization: Bearer`; None asks for nothing.
        max_body: of one request.
        max_bodies: of all requests under way together.
        max_parts: images in one request.
        decode_memory: what decoding one image may take; limits its pixels, see `hubel.studio.pictures`.
        queue: images of one model that may be under way.
        batch: images that go through the network together.
        companions: how long an image waits for others to share its batch.
        patience: how long an image may be expected to wait for its turn; where it is longer, no more are taken.
        deadline: from a request's last byte to its answer.
        connections: open at the same time.
        head_timeout: for a request's head.
        body_timeout: for a request's body.
        idle_timeout: for the next request on the same connection; whole seconds.
        write_timeout: for a client to take what it is sent.
        linger: how long the rest of a refused body is read, so that the client sees why.

    Raises:
        OptionError: a value that cannot work.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allow_hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    max_body: int = 32 * _MIB
    max_bodies: int = 48 * _MIB
    max_parts: int = 32
    decode_memory: int = 160 * _MIB
    queue: int = 64
    batch: int = 8
    companions: float = 0.005
    patience: float = 1.5
    deadline: float = 10.0
    connections: int = 256
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: int = 15
    write_timeout: float = 10.0
    linger: float = 1.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in ("port", "companions", "linger") and isinstance(value, int | float) and value <= 0:
                raise OptionError(f"{one.name} is above 0, not {value}")
        if not 0 <= self.port < 2**16:
            raise OptionError(f"a port is a number from 0 to 65535, not {self.port}")
        if self.max_parts > self.queue:
            raise OptionError(f"a queue of {self.queue} has no place for a request of {self.max_parts} images")
        if self.max_body > self.max_bodies:
            raise OptionError(f"one body of {self.max_body:,} bytes is more than all together, {self.max_bodies:,}")
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token):
            raise OptionError("a token is made of printable ASCII characters, without spaces")

    @property
    def hosts(self) -> frozenset[str]:
        """Names that Host and Origin may have, in small letters."""
        return frozenset(name.lower().strip("[]") for name in (*LOOPBACK, self.host, *self.allow_hosts)) - set(_ANY)

    @property
    def everywhere(self) -> bool:
        """Whether `host` is no address of its own, but all that this computer has."""
        return self.host in _ANY
