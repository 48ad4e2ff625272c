"""Publish and subscribe in the manner of SLIM, over encrypted channels.

Whoever is in a channel publishes to it and receives from it:

    adapter = SLIMAdapter(manager)
    adapter.subscribe("org/ns/events")
    adapter.publish("org/ns/events", b"payload")
    payloads = adapter.receive("org/ns/events")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..envelope import Envelope, Protocol

if TYPE_CHECKING:
    from ..manager import SkytaleChannelManager

__all__ = ["SLIMAdapter"]


class SLIMAdapter:
    """Publishes payloads to channels and receives them.

    Args:
        manager: whose channels are used.
    """

    def __init__(self, manager: SkytaleChannelManager) -> None:
        self._manager = manager

    def publish(self, destination: str, payload: bytes, content_type: str = "application/octet-stream") -> None:
        """Publishes a payload to everybody in the channel.

        Raises:
            KeyError: the channel is neither created nor joined.
        """
        self._manager.send_envelope(destination, Envelope(Protocol.SLIM, content_type, payload))

    def subscribe(self, channel: str) -> None:
        """Creates the channel, unless this agent has it already."""
        if channel not in self._manager.list_channels():
            self._manager.create(channel)

    def receive(self, channel: str, timeout: float = 5.0) -> list[bytes]:
        """Takes all payloads that wait, of whatever protocol; waits up to `timeout` seconds for the first one.

        Raises:
            KeyError: the channel is neither created nor joined.
        """
        return [envelope.payload for envelope in self._manager.receive_envelopes(channel, timeout=timeout)]
