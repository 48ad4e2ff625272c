"""Runs calls and opens event streams over a blocking httpx client; `_async_transport` is its twin."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import httpx

from ._calls import REQUEST_TIMEOUT, Call
from ._errors import NotAnEventStream, api_error, transport_error
from ._resolve import Target
from ._version import __version__

T = TypeVar("T")


class Transport:
    """The connection pool of one `Client`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._http = httpx.Client(**client_options(target))

    def run(self, call: Call[T]) -> T:
        response = self._exchange(call)
        if not response.is_success:
            raise api_error(response)
        return call.parse(response)

    def open(self, path: str, params: dict[str, str], headers: dict[str, str]) -> httpx.Response:
        """Returns a response whose body is an event stream yet to be read."""
        self.target.refresh()
        request = self._http.build_request(
            "GET", self.target.url + path, params=params, headers={**headers, **self.target.credentials()}
        )
        response = self._http.send(request, stream=True)
        try:
            if not response.is_success:
                response.read()
            check_stream(response)
        except BaseException:
            response.close()
            raise
        return response

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    @property
    def is_closed(self) -> bool:
        return self._http.is_closed

    def close(self) -> None:
        self._http.close()

    def _exchange(self, call: Call[Any]) -> httpx.Response:
        try:
            return self._send(call)
        except httpx.TransportError as error:
            if not may_repeat(call, error, self.target):
                raise transport_error(error) from error
            first = error
        try:
            return self._send(call)
        except httpx.TransportError as error:
            cause = worse(first, error)
            raise transport_error(cause) from cause

    def _send(self, call: Call[Any]) -> httpx.Response:
        return self._http.request(call.method, self.target.url + call.path, **request_options(call, self.target))


def client_options(target: Target) -> dict[str, Any]:
    """Returns the settings of an httpx client.

    A proxy named by the environment would be handed the traffic to our own machine, and could not forward it.
    """
    return {
        "timeout": REQUEST_TIMEOUT,
        "trust_env": not target.is_loopback,
        "headers": {"User-Agent": f"toq-python/{__version__}"},
    }


def request_options(call: Call[Any], target: Target) -> dict[str, Any]:
    options: dict[str, Any] = {"params": call.params, "headers": {**(call.headers or {}), **target.credentials()}}
    if call.body is not None:
        options["json"] = call.body
    if call.read_timeout != REQUEST_TIMEOUT:
        options["timeout"] = httpx.Timeout(REQUEST_TIMEOUT, read=call.read_timeout)
    return options


def may_repeat(call: Call[Any], error: httpx.TransportError, target: Target) -> bool:
    """Returns whether to try a second time: nobody listened but the daemon has moved, or a safe call broke off."""
    if isinstance(error, httpx.ConnectError):
        return target.refresh()
    return call.is_repeatable and isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError))


def worse(first: httpx.TransportError, second: httpx.TransportError) -> httpx.TransportError:
    """Returns the error to report: after a lost request, "not running" would wrongly mean "not sent"."""
    return first if isinstance(second, httpx.ConnectError) else second


def check_stream(response: httpx.Response) -> None:
    if not response.is_success:
        raise api_error(response)
    kind = response.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "text/event-stream":
        text = f"{response.request.url.path} answered {kind or 'no content type'} instead of an event stream"
        raise NotAnEventStream(text, request=response.request)
