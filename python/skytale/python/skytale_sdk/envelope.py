"""Messages that say which protocol they speak."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from . import _native


class Protocol(str, Enum):
    """What the payload of an envelope speaks."""

    RAW = "raw"
    """Plain bytes."""
    A2A = "a2a"
    """The Agent2Agent protocol."""
    MCP = "mcp"
    """The Model Context Protocol."""
    SLIM = "slim"
    """Secure Lightweight Inter-agent Messaging."""
    ACP = "acp"
    """Agent Communication Protocol."""
    ANP = "anp"
    """Agent Network Protocol."""
    LMOS = "lmos"
    """Language Model Operating System."""
    NLIP = "nlip"
    """Natural Language Interaction Protocol."""
    STATE = "state"
    """State that the members of a channel share."""


@dataclass(frozen=True)
class Envelope:
    """A payload and what it is. On a channel: `[header length, u32 little-endian][JSON header][payload]`.

    Args:
        protocol: what the payload speaks.
        content_type: its MIME type.
        payload: the bytes.
        metadata: more about it, anything JSON can say; an empty dict is not sent and arrives as None.
    """

    protocol: Protocol
    content_type: str
    payload: bytes
    metadata: dict[str, Any] | None = None

    def serialize(self) -> bytes:
        """Returns the bytes that go over a channel.

        Raises:
            TypeError: `metadata` holds something that JSON cannot say.
            ValueError: the header has more than 65,536 bytes.
        """
        described = json.dumps(self.metadata, allow_nan=False) if self.metadata else None
        return _native.envelope_encode(Protocol(self.protocol).value, self.content_type, self.payload, described)

    @classmethod
    def deserialize(cls, data: bytes) -> Envelope:
        """Reads what `serialize` wrote.

        Raises:
            ValueError: `data` is no envelope.
        """
        protocol, content_type, payload, described = _native.envelope_decode(bytes(data))
        return cls(Protocol(protocol), content_type, payload, None if described is None else json.loads(described))

    @classmethod
    def of(cls, data: bytes) -> Envelope:
        """Reads an envelope, or wraps what is none into one of `Protocol.RAW`."""
        try:
            return cls.deserialize(data)
        except ValueError:
            return cls(Protocol.RAW, "application/octet-stream", bytes(data))
