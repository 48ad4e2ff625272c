"""Python client of the toq daemon.

    import toq

    client = toq.connect()
    client.send("toq://example.com/agent", "hello")

The daemon (`toq up`) does the protocol; this package talks to it over local HTTP. `connect` returns a blocking
`Client`, `connect_async` an `AsyncClient` with the same methods as coroutines. To read the source, start with
`_client`, then `_calls` (what is sent) and `_reader` (how a stream survives a broken connection).
"""

from ._async_client import AsyncClient, connect_async
from ._client import Client, connect
from ._errors import (
    ApiError,
    ConnectionLost,
    DaemonNotRunning,
    DeliveryTimeout,
    IdempotencyConflict,
    InvalidAddress,
    InvalidConfig,
    InvalidPassphrase,
    InvalidRequest,
    MessageTooLarge,
    NotAnEventStream,
    NotFound,
    NotImplementedYet,
    NotReachable,
    Rejected,
    ReplyTimeout,
    RequestTimeout,
    StorageFull,
    ToqError,
    Unavailable,
    UnexpectedAnswer,
)
from ._message import Message
from ._version import __version__

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ConnectionLost",
    "DaemonNotRunning",
    "DeliveryTimeout",
    "IdempotencyConflict",
    "InvalidAddress",
    "InvalidConfig",
    "InvalidPassphrase",
    "InvalidRequest",
    "Message",
    "MessageTooLarge",
    "NotAnEventStream",
    "NotFound",
    "NotImplementedYet",
    "NotReachable",
    "Rejected",
    "ReplyTimeout",
    "RequestTimeout",
    "StorageFull",
    "ToqError",
    "Unavailable",
    "UnexpectedAnswer",
    "__version__",
    "connect",
    "connect_async",
]
