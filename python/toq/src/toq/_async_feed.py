"""An async iterator over an event stream that outlives its connections; `_feed` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

import httpx

from ._async_transport import AsyncTransport
from ._errors import ToqError
from ._reader import Reader

T = TypeVar("T")


class AsyncFeed(Generic[T]):
    """Yields items until it is closed, its client is closed, or an error is raised.

    The first iteration connects. Used as a context manager it connects on entry, so that nothing sent by the
    body of the `with` can come too early:

        async with client.messages() as feed:
            await client.send(...)
            answer = await feed.__anext__()
    """

    def __init__(self, transport: AsyncTransport, reader: Reader[T]) -> None:
        self._source = _Source(transport, reader)
        self._items = _items(self._source)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self._items.__anext__()
        except asyncio.CancelledError:
            # `wait_for(anext(feed))` gave up on one item, not on the feed: it continues where it was.
            self._items = _items(self._source)
            raise

    async def __aenter__(self) -> AsyncFeed[T]:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connects now rather than at the first iteration."""
        try:
            await self._source.open()
        except (httpx.TransportError, ToqError) as error:
            self._source.reader.lost(error)

    async def close(self) -> None:
        """Ends the iteration and frees the connection."""
        await self._items.aclose()
        await self._source.drop()


class _Source(Generic[T]):
    """One feed's connection. Apart from `AsyncFeed`, so that a feed that is dropped is closed at once."""

    def __init__(self, transport: AsyncTransport, reader: Reader[T]) -> None:
        self.transport = transport
        self.reader = reader
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def open(self) -> None:
        await self.drop()
        params, headers = self.reader.request()
        self._response = await self.transport.open(self.reader.path, params, headers)
        self._chunks = self._response.aiter_bytes()
        self.reader.connected()

    async def read(self) -> bytes:
        if self._chunks is not None:
            async for chunk in self._chunks:
                return chunk
        raise httpx.RemoteProtocolError("the daemon ended the stream")

    async def drop(self) -> None:
        if self._response is not None:
            await self._response.aclose()
        self._response = None


async def _items(source: _Source[T]) -> AsyncGenerator[T, None]:
    reader, transport = source.reader, source.transport
    try:
        while True:
            item = reader.take()
            if item is not None:
                yield item
                continue
            if transport.is_closed:
                return
            try:
                if reader.needs_connection:
                    await source.open()
                reader.push(await source.read())
            except (httpx.TransportError, ToqError) as error:
                if transport.is_closed:
                    return
                await transport.pause(reader.lost(error))
    finally:
        await source.drop()
        reader.needs_connection = True
