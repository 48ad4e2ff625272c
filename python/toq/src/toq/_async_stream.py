"""Writes one streamed message as a `async with` block; `_stream` is its twin."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ._errors import ToqError

if TYPE_CHECKING:
    from ._async_client import AsyncClient


class AsyncStream:
    """An open stream to one agent.

    Leaving the block ends the message. Leaving it through an exception does not: half a text must not look
    finished, so the stream is left open and the daemon aborts it after its idle timeout.
    """

    stream_id: str
    thread_id: str

    def __init__(self, client: AsyncClient, to: str, thread_id: str | None, close_thread: bool) -> None:
        self._client = client
        self._to = to
        self._thread_id = thread_id
        self._close_thread = close_thread
        self._is_open = False

    async def __aenter__(self) -> AsyncStream:
        started = await self._client.stream_start(self._to, thread_id=self._thread_id)
        self.stream_id, self.thread_id = started["stream_id"], started["thread_id"]
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._is_open:
            await self.end()
        self._is_open = False

    async def write(self, text: str) -> None:
        """Sends one chunk; returns when the peer has it."""
        self._check_open()
        await self._client.stream_chunk(self.stream_id, text)

    async def end(self) -> None:
        """Ends the message before the block does."""
        self._check_open()
        self._is_open = False
        await self._client.stream_end(self.stream_id, close_thread=self._close_thread)

    def _check_open(self) -> None:
        if not self._is_open:
            raise ToqError("the stream is not open")
