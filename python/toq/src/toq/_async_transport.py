"""Runs calls and opens event streams over an async httpx client; `_transport` is its twin."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import httpx

from ._calls import Call
from ._errors import api_error, transport_error
from ._resolve import Target
from ._transport import check_stream, client_options, may_repeat, request_options, worse

T = TypeVar("T")


class AsyncTransport:
    """The connection pool of one `AsyncClient`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._http = httpx.AsyncClient(**client_options(target))

    async def run(self, call: Call[T]) -> T:
        response = await self._exchange(call)
        if not response.is_success:
            raise api_error(response)
        return call.parse(response)

    async def open(self, path: str, params: dict[str, str], headers: dict[str, str]) -> httpx.Response:
        """Returns a response whose body is an event stream yet to be read."""
        self.target.refresh()
        request = self._http.build_request(
            "GET", self.target.url + path, params=params, headers={**headers, **self.target.credentials()}
        )
        response = await self._http.send(request, stream=True)
        try:
            if not response.is_success:
                await response.aread()
            check_stream(response)
        except BaseException:
            await response.aclose()
            raise
        return response

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @property
    def is_closed(self) -> bool:
        return self._http.is_closed

    async def close(self) -> None:
        await self._http.aclose()

    async def _exchange(self, call: Call[Any]) -> httpx.Response:
        try:
            return await self._send(call)
        except httpx.TransportError as error:
            if not may_repeat(call, error, self.target):
                raise transport_error(error) from error
            first = error
        try:
            return await self._send(call)
        except httpx.TransportError as error:
            cause = worse(first, error)
            raise transport_error(cause) from cause

    async def _send(self, call: Call[Any]) -> httpx.Response:
        return await self._http.request(
            call.method, self.target.url + call.path, **request_options(call, self.target)
        )
