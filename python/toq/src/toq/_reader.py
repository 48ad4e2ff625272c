"""What a long-lived event stream must remember, without doing I/O.

A connection to the daemon may break at any byte. The reader knows which event came last, so that the next
connection continues behind it, and which events it has handed out, so that an overlap is not handed out twice.
Both feeds (`_feed`, `_async_feed`) drive the same reader.
"""

from __future__ import annotations

import json
import logging
import random
from collections import OrderedDict, deque
from datetime import datetime, timezone
from typing import Any, Callable, Generic, TypeVar

import httpx

from ._errors import (
    ApiError,
    NotAnEventStream,
    NotImplementedYet,
    ToqError,
    UnexpectedAnswer,
    transport_error,
)
from ._sse import Comment, Decoder, Event, Frame

T = TypeVar("T")
Make = Callable[[dict[str, Any], "int | None"], T]

FIRST_DELAY = 0.2
"""Seconds before the first attempt to reconnect: a daemon that restarts needs about that long."""

LONGEST_DELAY = 10.0
"""Seconds between attempts at most, so that a listener is back soon after a long outage."""

_REMEMBERED = 1024
"""Events kept for comparison; overlaps after a reconnect are far shorter."""

_log = logging.getLogger("toq")


class Confirmed:
    """The places of the messages a client has confirmed lately, per consumer.

    The daemon may have sent a message again while its confirmation was under way. An id would not do: two senders may
    use the same, and the message of one would hide that of the other.
    """

    def __init__(self) -> None:
        self._recent: dict[str, Recent] = {}

    def note(self, consumer: str, seqs: list[int]) -> None:
        recent = self._recent.setdefault(consumer, Recent())
        for seq in seqs:
            recent.add(seq)

    def covers(self, consumer: str, seq: object) -> bool:
        return seq in self._recent.get(consumer, ())


class Recent:
    """A set that forgets its oldest members."""

    def __init__(self) -> None:
        self._members: OrderedDict[object, None] = OrderedDict()

    def add(self, member: object) -> None:
        self._members[member] = None
        if len(self._members) > _REMEMBERED:
            self._members.popitem(last=False)

    def __contains__(self, member: object) -> bool:
        return member in self._members


class Reader(Generic[T]):
    """The state of one feed across its connections."""

    def __init__(
        self,
        path: str,
        params: dict[str, str],
        make: Make[T],
        *,
        since: int | str | None = None,
        consumer: str | None = None,
        confirmed: Confirmed | None = None,
        reconnect: bool = True,
    ) -> None:
        self.path = path
        self.needs_connection = True
        self._params = params
        self._make = make
        self._since = None if since is None else str(since)
        self._consumer = consumer
        self._confirmed = confirmed or Confirmed()
        self._reconnect = reconnect
        self._last_id = ""
        self._seen = Recent()
        self._has_connected = False
        self._has_progress = False
        self._failures = 0
        self._decoder = Decoder()
        self._frames: deque[Frame] = deque()

    def request(self) -> tuple[dict[str, str], dict[str, str]]:
        """Returns query and headers that continue the stream, and forgets what the last connection left over."""
        self._decoder, self._frames = Decoder(), deque()
        self._has_progress = False
        params = dict(self._params)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._consumer is not None:
            params["consumer"] = self._consumer  # its position is the daemon's to know
        elif self._last_id:
            headers["Last-Event-ID"] = self._last_id
            return params, headers
        elif self._since is None and self._reconnect:
            # Should this connection break before its first event, the next one must not start at its own "now".
            self._since = _now()
            return params, headers
        if self._since is not None:
            params["since"] = self._since
        return params, headers

    def connected(self) -> None:
        self._has_connected = True
        self.needs_connection = False

    def push(self, chunk: bytes) -> None:
        self._failures = 0
        self._frames.extend(self._decoder.feed(chunk))

    def take(self) -> T | None:
        """Returns the next item, or `None` when more bytes (or a new connection) are needed."""
        while self._frames:
            frame = self._frames.popleft()
            if isinstance(frame, Comment):
                if frame.is_gap and self._can_fill(frame):
                    return None
                continue
            item = self._item(frame)
            if item is not None:
                return item
        return None

    def lost(self, error: Exception) -> float:
        """Returns how many seconds to wait before reconnecting; raises if the stream is over."""
        self.needs_connection = True
        failure = transport_error(error) if isinstance(error, httpx.TransportError) else error
        if not self._reconnect or not self._has_connected or not _is_passing(failure):
            if failure is error:
                raise failure
            raise failure from error
        self._failures += 1
        ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._failures, 10))
        delay = random.uniform(FIRST_DELAY, ceiling)
        _log.debug("event stream lost path=%s retry_in=%.1f cause=%r", self.path, delay, failure)
        return delay

    def _item(self, event: Event) -> T | None:
        self._has_progress = True
        self._last_id = event.id or self._last_id
        if not event.data:
            return None
        data = _object(event.data)
        place = int(event.id) if event.id.isdecimal() else None
        if self._consumer is not None:
            if self._confirmed.covers(self._consumer, data.get("seq", place)):
                return None
        elif event.id:
            key = (event.id, data.get("id"))
            if key in self._seen:
                return None
            self._seen.add(key)
        return self._make(data, place)

    def _can_fill(self, gap: Comment) -> bool:
        """Returns whether a new connection may bring what this one dropped.

        A gap before the first event of a connection is one that resuming did not fill; asking again would not
        end, so it is reported instead.
        """
        can_fill = self._reconnect and self._has_progress
        if can_fill:
            self.needs_connection = True
            self._frames.clear()
        else:
            _log.warning("events were lost path=%s notice=%r", self.path, gap.text)
        return can_fill


def _is_passing(failure: Exception) -> bool:
    if isinstance(failure, ApiError):
        return failure.status >= 500 and not isinstance(failure, NotImplementedYet)
    return isinstance(failure, ToqError) and not isinstance(failure, (NotAnEventStream, UnexpectedAnswer))


def _object(data: str) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise UnexpectedAnswer("an event of the stream is not JSON") from error
    if not isinstance(parsed, dict):
        raise UnexpectedAnswer("an event of the stream is not a JSON object")
    return parsed


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
