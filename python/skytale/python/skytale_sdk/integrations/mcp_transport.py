"""JSON-RPC of the Model Context Protocol over an encrypted channel, in place of HTTP or stdio.

Both sides have a transport of their own on the same channel:

    transport = SkytaleTransport(manager, "org/ns/mcp-rpc")
    await transport.write({"jsonrpc": "2.0", "method": "ping", "id": 1})
    answer = await transport.read()
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..envelope import Envelope, Protocol

if TYPE_CHECKING:
    from ..manager import SkytaleChannelManager

__all__ = ["SkytaleTransport"]

_log = logging.getLogger("skytale_sdk")

# Seconds after which a reader looks whether the transport has been closed.
_ROUND = 0.5


class SkytaleTransport:
    """Reads and writes JSON-RPC messages on one channel. May be used with `async with`.

    Args:
        manager: whose channel is used; it stays open when the transport is closed.
        channel: the channel's name, created or joined before.
    """

    def __init__(self, manager: SkytaleChannelManager, channel: str) -> None:
        self._manager = manager
        self._channel = channel
        self._closed = False
        self._receiving = threading.Lock()
        self._waiting: deque[Any] = deque()

    async def read(self) -> Any:
        """The next message, in the order in which they were sent. Waits until there is one.

        What is on the channel and is not of MCP is passed over. A read that is cancelled loses no message.

        Raises:
            RuntimeError: the transport is closed, or the channel ended.
        """
        while True:
            self._check_open()
            if self._waiting:
                return self._waiting.popleft()
            # The thread fills the queue itself, so what it takes is kept when nobody waits for it any more.
            await asyncio.get_running_loop().run_in_executor(None, self._receive)

    async def write(self, message: dict[str, Any]) -> None:
        """Sends a message.

        Raises:
            RuntimeError: the transport is closed, or the message could not be sent.
            TypeError: the message holds something that JSON cannot say.
        """
        self._check_open()
        payload = json.dumps(message, separators=(",", ":")).encode()
        envelope = Envelope(Protocol.MCP, "application/json", payload)
        await asyncio.get_running_loop().run_in_executor(None, self._manager.send_envelope, self._channel, envelope)

    async def close(self) -> None:
        """Ends reading and writing; reads that wait end within half a second. May be called again."""
        self._closed = True

    async def __aenter__(self) -> SkytaleTransport:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("transport closed")

    def _receive(self) -> None:
        with self._receiving:
            if self._waiting or self._closed:
                return
            for envelope in self._manager.receive_envelopes(self._channel, timeout=_ROUND):
                if envelope.protocol != Protocol.MCP:
                    continue
                try:
                    self._waiting.append(json.loads(envelope.payload))
                except (ValueError, RecursionError):
                    _log.warning("an MCP envelope without a JSON payload was skipped on %s", self._channel)
