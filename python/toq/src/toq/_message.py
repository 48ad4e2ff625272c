"""One message as it comes out of `messages()`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._errors import ToqError, UnexpectedAnswer


@dataclass
class Message:
    """An incoming message, chunk of a stream, or closing of a thread; `type` tells which."""

    id: str
    type: str
    sender: str
    body: Any = None
    thread_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    timestamp: str = ""
    seq: int | None = None
    """Position in the daemon's log; usable as `since`."""
    attempt: int = 1
    """How often this consumer was offered the message, this time included."""
    redelivered: bool = False
    """Whether it was offered before and not confirmed, perhaps because the program died halfway."""
    verified: bool | None = None
    """Whether the sender's address is known to be its own; None where the daemon did not say."""
    verified_by: str | None = None
    """How: `pinned`, `dns` or `dialled`; `claimed` where only the sender says so."""
    bound: bool | None = None
    """Whether nobody in between can have read it; False is transport encryption only, as with every published agent."""
    _client: Any = field(default=None, repr=False, compare=False)
    _consumer: str | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text of the message or stream chunk; empty if it carries none."""
        if isinstance(self.body, str):
            return self.body
        if not isinstance(self.body, dict):
            return ""
        data = self.body.get("data")
        text = self.body.get("text", data.get("text") if isinstance(data, dict) else None)
        return text if isinstance(text, str) else ""

    def reply(self, text: str, **options: Any) -> Any:
        """Sends text to the sender on the same thread; takes the options of `send`.

        Returns what the client's `send` returns: a dict, to be awaited on the async client.
        """
        client = self._attached("reply to")
        options = {"thread_id": self.thread_id, "reply_to": self.id, **options}
        return client.send(self.sender, text, **options)

    def confirm(self) -> Any:
        """Tells the daemon that this message is done and need not be offered to the consumer again.

        Returns what the client's `confirm` returns: a dict, to be awaited on the async client.
        """
        client = self._attached("confirm")
        if self._consumer is None:
            raise ToqError("cannot confirm a message that was read without consumer=")
        if self.seq is None:
            return client.confirm(self._consumer, ids=[self.id])
        return client.confirm(self._consumer, seqs=[self.seq])

    def _attached(self, verb: str) -> Any:
        if self._client is None:
            raise ToqError(f"cannot {verb} a message that did not come from a client")
        return self._client


def message_of(data: dict[str, Any], seq: int | None, client: Any, consumer: str | None) -> Message:
    """Returns the message in an event; `seq` is the event's id, used if the data does not repeat it."""
    for name in ("id", "type", "from", "timestamp"):
        if not isinstance(data.get(name), str):
            raise UnexpectedAnswer(f"an event of the message stream has no {name!r}")
    return Message(
        id=data["id"],
        type=data["type"],
        sender=data["from"],
        body=data.get("body"),
        thread_id=data.get("thread_id"),
        reply_to=data.get("reply_to"),
        content_type=data.get("content_type"),
        timestamp=data["timestamp"],
        seq=data.get("seq", seq),
        attempt=data.get("attempt", 1),
        redelivered=data.get("redelivered", False),
        verified=data.get("verified"),
        verified_by=data.get("verified_by"),
        bound=data.get("bound"),
        _client=client,
        _consumer=consumer,
    )
