"""What can go wrong, as exception classes.

Every exception is a `ToqError`. Each one is *also* what toq 0.1.0a1 raised in the same situation (an httpx
exception, or `KeyError`), so an `except` clause written for that version keeps catching.
"""

from __future__ import annotations

from typing import Any

import httpx
import httpx_sse


class ToqError(Exception):
    """Anything that went wrong while talking to, or looking for, the toq daemon."""


class DaemonNotRunning(ToqError, httpx.ConnectError):
    """Nothing accepted the connection; the request was certainly not sent."""


class ConnectionLost(ToqError, httpx.TransportError):
    """The connection broke after the request had (perhaps partly) been sent.

    The instances are also the httpx exception that caused them (`httpx.ReadError` and its kin).
    """


class RequestTimeout(ToqError, httpx.ReadTimeout):
    """The daemon itself did not answer in time (a peer that does not answer is `DeliveryTimeout`)."""


class UnexpectedAnswer(ToqError, KeyError, ValueError):
    """The daemon answered with success, but not with what the API promises."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the repr


class NotAnEventStream(ToqError, httpx_sse.SSEError):
    """A stream was asked for and something else than `text/event-stream` came back."""


class ApiError(ToqError, httpx.HTTPStatusError):
    """The daemon refused or failed a request; subclasses exist for the codes a caller may act on."""

    def __init__(self, response: httpx.Response) -> None:
        error = _error_object(response)
        self.status = response.status_code
        self.code: str = _text(error.get("code")) or _CODE_OF_STATUS.get(self.status, "")
        self.message: str = _text(error.get("message")) or _plain(response)
        self.hint: str | None = _text(error.get("hint"))
        self.message_id: str | None = _text(error.get("id"))
        """Id of the message, if it was accepted before delivery failed."""
        self.state: str | None = _text(error.get("state"))
        """Delivery state of that message; `accepted` means the daemon is still trying."""
        self.retry_after: float | None = _seconds(response.headers.get("retry-after"))
        text = f"{self.message} ({self.hint})" if self.hint else self.message
        super().__init__(text, request=response.request, response=response)

    def __reduce__(self) -> tuple[Any, ...]:
        # httpx errors take keyword-only arguments, which the default pickling cannot repeat.
        return type(self), (self.response,)


class InvalidRequest(ApiError):
    """A field is missing, contradictory or malformed."""


class InvalidAddress(ApiError):
    """The text is not a toq address."""


class InvalidConfig(ApiError):
    """A config key or value was not accepted."""


class InvalidPassphrase(ApiError):
    """The backup cannot be decrypted with this passphrase."""


class NotFound(ApiError):
    """No such message, stream, consumer, handler or approval."""


class NotReachable(ApiError):
    """The peer could not be reached, or did not let us in (yet)."""


class Rejected(ApiError):
    """The peer received the message and refused it."""


class DeliveryTimeout(ApiError):
    """The peer did not confirm in time; `state` tells whether the daemon keeps trying."""


class ReplyTimeout(ApiError):
    """The message was delivered, but no answer to it came in time."""


class MessageTooLarge(ApiError):
    """The body exceeds the daemon's `max_message_size`."""


class IdempotencyConflict(ApiError):
    """The idempotency key was used before, for a different request."""


class StorageFull(ApiError):
    """The daemon cannot store the message; nothing was sent."""


class Unavailable(ApiError):
    """The daemon is shutting down or overloaded; `retry_after` tells when to try again."""


class NotImplementedYet(ApiError):
    """The daemon knows the operation but does not offer it in this release."""


_CLASS_OF_CODE: dict[str, type[ApiError]] = {
    "delivery_timeout": DeliveryTimeout,
    "idempotency_conflict": IdempotencyConflict,
    "invalid_address": InvalidAddress,
    "invalid_config": InvalidConfig,
    "invalid_passphrase": InvalidPassphrase,
    "invalid_request": InvalidRequest,
    "message_too_large": MessageTooLarge,
    "not_found": NotFound,
    "not_implemented": NotImplementedYet,
    "not_reachable": NotReachable,
    "rejected": Rejected,
    "reply_timeout": ReplyTimeout,
    "storage_full": StorageFull,
    "unavailable": Unavailable,
}

# Older daemons, and proxies in between, answer some errors in plain text; their status has to do.
_CODE_OF_STATUS = {
    400: "invalid_request",
    404: "not_found",
    413: "message_too_large",
    415: "invalid_request",
    422: "invalid_request",
    501: "not_implemented",
    503: "unavailable",
    507: "storage_full",
}


def api_error(response: httpx.Response) -> ApiError:
    """Returns the exception for an answer that is not a success; its body must have been read."""
    code = _text(_error_object(response).get("code")) or _CODE_OF_STATUS.get(response.status_code, "")
    return _CLASS_OF_CODE.get(code, ApiError)(response)


def transport_error(error: httpx.TransportError) -> ToqError:
    """Returns our exception for one of httpx; callers raise it `from` the original."""
    try:
        request: httpx.Request | None = error.request
    except RuntimeError:
        request = None  # httpx raises when it was not recorded
    if isinstance(error, httpx.ConnectError):
        return DaemonNotRunning("toq daemon is not running. Run 'toq up' first.", request=request)
    if isinstance(error, httpx.ReadTimeout):
        return RequestTimeout("the toq daemon did not answer in time", request=request)
    text = f"the connection to the toq daemon broke: {str(error) or type(error).__name__}"
    return _lost(type(error))(text, request=request)


def _lost(cause: type[httpx.TransportError]) -> type[ConnectionLost]:
    if cause not in _LOST:
        _LOST[cause] = type("ConnectionLost", (ConnectionLost, cause), {"__module__": "toq"})
    return _LOST[cause]


_LOST: dict[type[httpx.TransportError], type[ConnectionLost]] = {}


def _error_object(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _plain(response: httpx.Response) -> str:
    route = f"{response.request.method} {response.request.url.path}"
    text = response.text.strip()[:500]
    return text or f"the daemon answered {response.status_code} to {route}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None
