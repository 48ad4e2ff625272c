"""What can go wrong, as exception classes.

Every exception of this package is a `SkytaleError`, and that is a `RuntimeError`. The text begins with the part that
failed ("MLS engine error: ", "transport error: ", "auth error: ", "invalid channel name: ", "runtime error: ") and says
what to do next where there is something to do.
"""

from __future__ import annotations

from typing import Any

_DOCUMENT = "https://github.com/toqprotocol/toq/blob/main/python/skytale/README.md#errors"


class SkytaleError(RuntimeError):
    """Anything that went wrong in this package.

    Args:
        message: what happened, to what, and why.
        code: a word for programs, such as `unauthorized` or `storage`; None when there is none.
        http_status: the status of the API server's answer; None when no API server was asked.
        doc_url: where this kind of error is explained.
    """

    def __init__(
        self, message: str = "", code: str | None = None, http_status: int | None = None, doc_url: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.doc_url = doc_url if doc_url is not None else _DOCUMENT

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.code, self.http_status, self.doc_url)


class AuthError(SkytaleError):
    """The API key or the token was refused: unknown, revoked or expired."""


class TransportError(SkytaleError):
    """The relay or the API server was not reached, or ended the connection."""


class ChannelError(SkytaleError):
    """The channel, or what was asked of it, is not acceptable: its name, the size of a message, an invite, missing rights."""


class UnknownChannelError(ChannelError, KeyError):
    """A manager or a bridge was asked for a channel that its agent is not in. A `KeyError` too, as published managers raise."""

    # A KeyError shows its argument in quotes, as the key that it mostly is.
    __str__ = RuntimeError.__str__


class QuotaExceededError(SkytaleError):
    """The account, the channel or the caller has used up what it may use."""


class MlsError(SkytaleError):
    """The group could not do it: a bad key package or Welcome, damaged or locked local state."""


_CLASSES: dict[str, type[SkytaleError]] = {
    "auth": AuthError,
    "transport": TransportError,
    "channel": ChannelError,
    "quota": QuotaExceededError,
    "mls": MlsError,
    "runtime": SkytaleError,
}


def unknown_channel(name: str, closed: bool = False) -> UnknownChannelError:
    """The failure of who asks a manager for a channel that it does not have."""
    if closed:
        return UnknownChannelError(f"there is no channel {name}: the manager was closed; open a new one", "closed")
    return UnknownChannelError(
        f"this agent is not in the channel {name}; create or join it first, see list_channels()", "not_found"
    )


def of_kind(kind: str, message: str, code: str | None, http_status: int | None) -> SkytaleError:
    """Returns the exception for a failure of the native module; an unknown kind is a plain `SkytaleError`."""
    return _CLASSES.get(kind, SkytaleError)(message, code, http_status)
