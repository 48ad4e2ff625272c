"""Server-sent events: bytes in, frames out, no I/O.

`httpx-sse` reads events but hides comments, and this daemon says in a comment when it had to drop events.
Lines end with LF or CRLF only; splitting like `str.splitlines` would cut JSON at characters such as U+2028.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Event:
    """One event; `id` is the last id the stream gave, `data` is empty if the block only set an id."""

    id: str
    data: str


@dataclass(frozen=True)
class Comment:
    """A line the stream carries beside events: keep-alives, and the notice of a gap."""

    text: str

    @property
    def is_gap(self) -> bool:
        return self.text.lstrip().startswith("gap")


Frame = Union[Event, Comment]


class Decoder:
    """Turns the bytes of one connection into frames; an event cut off by its end is never returned."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._has_id = False
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        frames: list[Frame] = []
        for line in lines:
            frame = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if frame is not None:
                frames.append(frame)
        return frames

    def _line(self, line: str) -> Frame | None:
        if not line:
            return self._end_of_block()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            return Comment(value)
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id, self._has_id = value, True
        return None

    def _end_of_block(self) -> Frame | None:
        is_empty = not self._data and not self._has_id
        event = Event(self._id, "\n".join(self._data))
        self._data, self._has_id = [], False
        return None if is_empty else event
