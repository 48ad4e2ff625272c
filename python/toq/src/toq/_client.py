"""The blocking client: messages, threads, streams. Peers, daemon and handlers are in `_admin`."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from types import TracebackType
from typing import Any

from . import _calls, _subscriptions
from ._admin import Admin, Blocking
from ._calls import Json, Wait
from ._feed import Feed
from ._message import Message
from ._reader import Confirmed
from ._resolve import Target, checked, resolve, shown
from ._stream import Stream
from ._transport import Transport


def connect(url: str | None = None, *, token: str | None = None) -> Client:
    """Returns a client of the local daemon; nothing is sent until the first call.

    The daemon is looked for at `url`, then `TOQ_URL`, `./.toq/state.json`, `~/.toq/state.json` and port 9009.
    One with `api.access = "token"` is shown `token`, else `TOQ_TOKEN`, else the workspace's `keys/api.token`.
    """
    return Client._at(resolve(url, token))


class Client(Admin, Blocking):
    """Talks to one toq daemon. Safe to share between threads; iterators and streams are not.

    Every method raises a `ToqError` if it fails.
    """

    def __init__(self, base_url: str, *, token: str | None = None) -> None:
        self._attach(Target(checked(base_url), token=shown(token)))

    @classmethod
    def _at(cls, target: Target) -> Client:
        client = cls.__new__(cls)
        client._attach(target)
        return client

    def _attach(self, target: Target) -> None:
        self._transport = Transport(target)
        self._confirmed = Confirmed()

    @property
    def base_url(self) -> str:
        """Where the daemon is, as far as known."""
        return self._transport.target.url

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees all connections; open iterators end."""
        self._transport.close()

    def send(
        self,
        to: str | list[str],
        text: str,
        *,
        thread_id: str | None = None,
        reply_to: str | None = None,
        close_thread: bool = False,
        wait: Wait = True,
        timeout: float = 30,
        idempotency_key: str | None = None,
    ) -> Json:
        """Sends text to one agent or several; the answer has `id`, `thread_id`, `status` and `state`.

        `wait=True` returns when the peer has the message, `wait="reply"` when it has answered (the answer is
        under `reply`), `wait=False` as soon as the daemon has stored it. `timeout` is the longest wait in
        seconds. Sending again with the same `idempotency_key` never makes a second message; without one, a key
        is made up so that a connection that breaks can be tried once more.
        """
        return self._transport.run(
            _calls.send(to, text, thread_id, reply_to, close_thread, wait, timeout, idempotency_key)
        )

    def send_file(
        self,
        to: str,
        path: str | PathLike[str],
        *,
        name: str | None = None,
        thread_id: str | None = None,
        wait: bool = True,
        timeout: float = 300,
    ) -> Json:
        """Sends a file of this machine to an agent that accepts files; the answer is that of `send`.

        The daemon copies it first, so it may change afterwards. The receiver gets a message whose body names the
        file's `sha256`, `size` and `name`. A transfer that breaks goes on where it was. Only agents of this
        implementation take files; others are refused before anything is sent.
        """
        return self._transport.run(_calls.send_file(to, path, name, thread_id, wait, timeout))

    def files(self) -> list[Json]:
        """Returns the files that came, the newest first. Their names are what senders say; do not use them as paths."""
        return self._transport.run(_calls.files())

    def messages(
        self,
        *,
        from_addr: str | None = None,
        msg_type: str | None = None,
        since: int | str | None = None,
        outgoing: bool = False,
        consumer: str | None = None,
        reconnect: bool = True,
    ) -> Feed[Message]:
        """Returns an iterator over incoming messages, from now on or from `since` (a `seq` or a timestamp).

        It survives restarts of the daemon: it connects again for as long as it takes, and continues where it
        was. `reconnect=False` raises instead. The first connection must succeed in either case.

        With `consumer`, the daemon remembers across restarts of *this* program which messages were confirmed
        (`msg.confirm()`) and offers the others again.
        """
        reader = _subscriptions.messages(
            self,
            self._confirmed,
            from_addr=from_addr,
            msg_type=msg_type,
            since=since,
            outgoing=outgoing,
            consumer=consumer,
            reconnect=reconnect,
        )
        return Feed(self._transport, reader)

    def events(self, since: int | str | None = None, *, reconnect: bool = True) -> Feed[Json]:
        """Returns an iterator over what happens to messages, approvals, streams and policy."""
        return Feed(self._transport, _subscriptions.events(since, reconnect))

    def message(self, message_id: str) -> Json:
        """Returns one message with its delivery state."""
        return self._transport.run(_calls.message(message_id))

    def history(
        self,
        limit: int = 50,
        from_addr: str | None = None,
        since: str | None = None,
        *,
        outgoing: bool = False,
        cursor: str | None = None,
    ) -> list[Json]:
        """Returns the newest messages, oldest first."""
        return self._transport.run(_calls.history(limit, from_addr, since, outgoing, cursor)).messages

    def history_pages(
        self,
        limit: int = 50,
        from_addr: str | None = None,
        since: str | None = None,
        *,
        outgoing: bool = False,
        cursor: str | None = None,
    ) -> Iterator[list[Json]]:
        """Yields the whole history in lists of at most `limit`: newest page first, each one oldest first."""
        while True:
            page = self._transport.run(_calls.history(limit, from_addr, since, outgoing, cursor))
            yield page.messages
            cursor = page.next_cursor
            if not cursor:
                return

    def threads(self) -> list[Json]:
        """Returns all threads with their state and last activity."""
        return self._transport.run(_calls.threads())

    def get_thread(self, thread_id: str) -> Json:
        """Returns one thread with its messages, both directions, oldest first."""
        return self._transport.run(_calls.get_thread(thread_id))

    def stream(self, to: str, *, thread_id: str | None = None, close_thread: bool = False) -> Stream:
        """Returns a context manager whose `write(text)` sends a message piece by piece."""
        return Stream(self, to, thread_id, close_thread)

    def stream_start(self, to: str, *, thread_id: str | None = None) -> Json:
        """Opens a stream; the answer has `stream_id` and `thread_id`."""
        return self._transport.run(_calls.stream_start(to, thread_id))

    def stream_chunk(self, stream_id: str, text: str) -> Json:
        """Sends one piece; returns when the peer has it."""
        return self._transport.run(_calls.stream_chunk(stream_id, text))

    def stream_end(self, stream_id: str, *, close_thread: bool = False, text: str | None = None) -> Json:
        """Ends a stream, with an optional last piece."""
        return self._transport.run(_calls.stream_end(stream_id, text, close_thread))

    def consumers(self) -> list[Json]:
        """Returns the durable consumers and how much each has left to confirm."""
        return self._transport.run(_calls.consumers())

    def consumer(self, name: str) -> Json:
        """Returns one durable consumer."""
        return self._transport.run(_calls.consumer(name))

    def remove_consumer(self, name: str) -> None:
        """Forgets a durable consumer and its position."""
        return self._transport.run(_calls.remove_consumer(name))

    def confirm(
        self,
        consumer: str,
        *,
        ids: list[str] | None = None,
        seqs: list[int] | None = None,
        up_to: int | None = None,
    ) -> Json:
        """Marks messages as done for a consumer: those at these places, those with these ids, or all up to a `seq`.

        An id is its sender's choice, and two senders may use the same: both messages are confirmed then. A `seq`
        means one message.
        """
        answer = self._transport.run(_calls.confirm(consumer, ids, seqs, up_to))
        self._confirmed.note(consumer, seqs or [])
        return answer

    def logs(self, follow: bool = False) -> Any:
        """Returns the daemon's log entries, or with `follow` an iterator over the coming ones."""
        if not follow:
            return super().logs()
        feed = Feed(self._transport, _subscriptions.logs())
        feed.connect()
        return feed
