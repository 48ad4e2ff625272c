"""An iterator over an event stream that outlives its connections; `_async_feed` is its twin."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Generic, TypeVar

import httpx

from ._errors import ToqError
from ._reader import Reader
from ._transport import Transport

T = TypeVar("T")


class Feed(Generic[T]):
    """Yields items until it is closed, its client is closed, or an error is raised.

    The first iteration connects. Used as a context manager it connects on entry, so that nothing sent by the
    body of the `with` can come too early:

        with client.messages() as feed:
            client.send(...)
            answer = next(feed)
    """

    def __init__(self, transport: Transport, reader: Reader[T]) -> None:
        self._source = _Source(transport, reader)
        self._items = _items(self._source)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._items)

    def __enter__(self) -> Feed[T]:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connects now rather than at the first iteration."""
        try:
            self._source.open()
        except (httpx.TransportError, ToqError) as error:
            self._source.reader.lost(error)

    def close(self) -> None:
        """Ends the iteration and frees the connection."""
        self._items.close()
        self._source.drop()


class _Source(Generic[T]):
    """One feed's connection. Apart from `Feed`, so that a feed that is dropped is closed at once."""

    def __init__(self, transport: Transport, reader: Reader[T]) -> None:
        self.transport = transport
        self.reader = reader
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def open(self) -> None:
        self.drop()
        params, headers = self.reader.request()
        self._response = self.transport.open(self.reader.path, params, headers)
        self._chunks = self._response.iter_bytes()
        self.reader.connected()

    def read(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise httpx.RemoteProtocolError("the daemon ended the stream")

    def drop(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = None


def _items(source: _Source[T]) -> Generator[T, None, None]:
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
                    source.open()
                reader.push(source.read())
            except (httpx.TransportError, ToqError) as error:
                if transport.is_closed:
                    return
                transport.pause(reader.lost(error))
    finally:
        source.drop()
        reader.needs_connection = True
