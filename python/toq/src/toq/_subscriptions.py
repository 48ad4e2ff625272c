"""The three event streams of the API, as readers; both clients subscribe through these."""

from __future__ import annotations

from typing import Any

from ._calls import Json, given
from ._message import Message, message_of
from ._reader import Confirmed, Reader


def messages(
    client: Any,
    confirmed: Confirmed,
    *,
    from_addr: str | None,
    msg_type: str | None,
    since: int | str | None,
    outgoing: bool,
    consumer: str | None,
    reconnect: bool,
) -> Reader[Message]:
    params = given(**{"from": from_addr}, type=msg_type)
    if outgoing:
        params["outgoing"] = "true"
    return Reader(
        "/v1/messages",
        params,
        lambda data, seq: message_of(data, seq, client, consumer),
        since=since,
        consumer=consumer,
        confirmed=confirmed,
        reconnect=reconnect,
    )


def events(since: int | str | None, reconnect: bool) -> Reader[Json]:
    return Reader("/v1/events", {}, lambda data, _: data, since=since, reconnect=reconnect)


def logs() -> Reader[Json]:
    # Log lines have no position to resume from, so a broken connection is an error rather than a silent hole.
    return Reader("/v1/logs", {"follow": "true"}, lambda data, _: data, reconnect=False)
