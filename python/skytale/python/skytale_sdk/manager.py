"""Channels for agent frameworks: calls that answer at once or after a timeout, by channel name."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from . import _exit, _mock, _native, _settings
from .envelope import Envelope
from .errors import SkytaleError, unknown_channel
from .message import Event, Member, Message

_log = logging.getLogger("skytale_sdk")

# What one call of receive() returns at most; the rest is for the next one. Bounds memory when thousands wait on disk.
MOST_AT_ONCE = 10_000
# Seconds without a message after which receive() returns those that came, so that what was sent together is received together.
# Halved each time that no more came.
PAUSE = 0.25
# Seconds after which a listener looks whether it has been stopped.
_LISTENER_ROUND = 1.0


class SkytaleChannelManager:
    """Sends and receives on channels without blocking iterators, for tools that have to answer.

    Messages are taken in and kept in `data_dir` while nobody asks for them, up to 256 MiB of each channel (`max_unread`); the
    relay keeps what comes then. Channels that are kept there from an earlier run are active from the beginning. All methods may
    be called from any thread. One that is given the name of a channel in which this agent is not raises `UnknownChannelError`,
    which is a `KeyError` too.

    Args:
        identity: what the other members see as the sender; a str is encoded as UTF-8.
        endpoint: URL of the relay; else `SKYTALE_RELAY`, else `http://127.0.0.1:5000`.
        data_dir: where state is kept; else `SKYTALE_DATA_DIR`, else `~/.skytale/<identity in hex>`.
        api_key: key of an account (`sk_live_...`); else `SKYTALE_API_KEY`. Invites need one.
        api_url: URL of the API server; else `SKYTALE_API_URL`, else `http://127.0.0.1:8080`.
        mock: no network; agents of this process reach each other. Also by `SKYTALE_MOCK=1`.
        mock_group: name of the group of mock agents that reach each other.
        padding, unbound_joins, pins, passphrase, ca_file, max_unread: as for `SkytaleClient`.
        on_message: called with every message, in a thread of the channel; what it is given is not given to `receive`.
        on_event: called with every `Event` of every channel, in a thread.
    """

    def __init__(
        self,
        identity: bytes | str,
        endpoint: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        api_key: str | None = None,
        api_url: str | None = None,
        mock: bool = False,
        *,
        mock_group: str | None = None,
        padding: bool = False,
        unbound_joins: bool = False,
        pins: Mapping[bytes, bytes] | None = None,
        passphrase: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        max_unread: int | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        who = identity.encode() if isinstance(identity, str) else identity
        settings = _settings.resolve(
            who,
            endpoint=endpoint,
            data_dir=data_dir,
            api_key=api_key,
            api_url=api_url,
            mock=mock,
            mock_group=mock_group,
            padding=padding,
            unbound_joins=unbound_joins,
            pins=pins,
            passphrase=passphrase,
            ca_file=ca_file,
            max_unread=max_unread,
        )
        self._mock_group = settings["mock_group"]
        self._on_message = on_message
        self._on_event = on_event
        self._lock = threading.Lock()
        self._channels: dict[str, _native.Channel] = {}
        self._closed = threading.Event()
        self._native = _native.Client.open(**settings)
        _exit.remember(self._native)
        for name in self._native.channels():
            self._activate(name, self._native.open_channel(name))

    # Channels

    def create(self, channel_name: str, proven: bool = False) -> None:
        """Creates a channel and begins to listen on it.

        A channel of that name which this agent already has is replaced by a new one without members. With `proven`, only
        members whose identity is proven are admitted, see `SkytaleClient.create_channel`.
        """
        self._activate(channel_name, self._native.create_channel(channel_name, proven))

    def join(self, channel_name: str, welcome: bytes) -> None:
        """Joins a channel by a Welcome message and begins to listen on it."""
        self._activate(channel_name, self._native.join_channel(channel_name, welcome))

    def key_package(self) -> bytes:
        """Makes a key package, with which a member can add this agent to one channel, once."""
        return self._native.generate_key_package()

    def add_member(self, channel_name: str, key_package: bytes) -> bytes:
        """Adds a member to a channel and returns the Welcome message with which it joins."""
        return self._channel(channel_name).add_member(key_package)

    def invite(self, channel_name: str, max_uses: int = 1, ttl: int = 3600) -> str:
        """Makes an invite token, which admits `max_uses` agents during `ttl` seconds while this agent runs.

        Raises:
            SkytaleError: there is no API key.
        """
        self._channel(channel_name)
        if self._mock_group is not None:
            return _mock.invite(self._mock_group, self._native, channel_name, max_uses, ttl)
        return self._native.invite(channel_name, max_uses, ttl)

    def join_with_token(self, channel_name: str, token: str, timeout: float = 60.0) -> None:
        """Joins a channel by an invite token, waiting up to `timeout` seconds to be let in.

        The token is used once by this agent: after a timeout or a crash the next call waits on for the same answer, or finds it.

        Raises:
            SkytaleError: the token is unknown, expired, used up or for another channel; or nobody answered in time.
        """
        if self._mock_group is not None:
            self._activate(channel_name, _mock.join(self._mock_group, self._native, channel_name, token))
        else:
            self._activate(channel_name, self._native.join_with_token(channel_name, token, timeout))

    def withdraw_join(self, channel_name: str, token: str) -> bool:
        """Takes back what `join_with_token` asked for with this token, see `SkytaleClient.withdraw_join`."""
        if self._mock_group is not None:
            return _mock.withdraw(self._native, channel_name, token)
        return self._native.withdraw_join(channel_name, token)

    def list_channels(self) -> list[str]:
        """Names of all active channels, sorted."""
        with self._lock:
            return sorted(self._channels)

    # Messages

    def send(self, channel_name: str, message: str | bytes) -> None:
        """Sends a message. It is kept until the relay has it, also when the relay is away just now."""
        self._channel(channel_name).send(message.encode() if isinstance(message, str) else message)

    def receive(self, channel_name: str, timeout: float = 5.0) -> list[str]:
        """Takes all messages that wait, as text; waits up to `timeout` seconds for the first one.

        What was sent together is received together: it returns when no more has come for a moment, which is a quarter of a
        second at first and shorter each time that no more came.
        """
        return [message.text for message in self._take(channel_name, timeout, PAUSE if timeout > 0 else 0.0)]

    def receive_latest(self, channel_name: str, timeout: float = 5.0) -> str | None:
        """Takes all messages that wait and returns the last one; None if there is none within `timeout` seconds."""
        taken = self.receive(channel_name, timeout)
        return taken[-1] if taken else None

    def receive_messages(self, channel_name: str, timeout: float = 5.0) -> list[Message]:
        """Takes all messages that wait, as bytes that know their sender; waits up to `timeout` seconds for the first.

        They count as read when the next ones are asked for, or at `close`; after a crash before that they are there again.
        """
        return self._take(channel_name, timeout, 0.0)

    def send_envelope(self, channel_name: str, envelope: Envelope) -> None:
        """Sends an envelope."""
        self._channel(channel_name).send(envelope.serialize())

    def receive_envelopes(self, channel_name: str, timeout: float = 5.0) -> list[Envelope]:
        """Like `receive`, as envelopes; what is none becomes one of `Protocol.RAW`."""
        return [Envelope.of(bytes(message)) for message in self.receive_messages(channel_name, timeout)]

    # Members

    def members(self, channel_name: str) -> list[Member]:
        """Who is in the channel now."""
        return self._channel(channel_name).members()

    def remove_member(self, channel_name: str, member: bytes | str | int | Member) -> None:
        """Removes a member, named by identity or leaf; it can read nothing that is sent from then on."""
        who = member.encode() if isinstance(member, str) else member
        self._channel(channel_name).remove_member(who)

    def leave(self, channel_name: str) -> None:
        """Leaves the channel for good, and forgets it."""
        self._channel(channel_name).leave()
        with self._lock:
            self._channels.pop(channel_name, None)

    def rotate_key(self, channel_name: str) -> None:
        """Replaces this agent's key in the group: who copied its state until now can read nothing sent from then on."""
        self._channel(channel_name).rotate_key()

    def epoch(self, channel_name: str) -> int:
        """The epoch of the group; it grows with every change of members or keys."""
        return self._channel(channel_name).epoch

    def export_audit_key(self, channel_name: str) -> bytes:
        """A secret of 32 bytes, the same for all members of this epoch, from which an auditor's keys can be derived."""
        return self._channel(channel_name).export_audit_key()

    def statement(self) -> bytes:
        """What an agent key has to sign for `prove`."""
        return self._native.statement()

    def prove(self, key: bytes, signature: bytes) -> None:
        """Binds this agent to an agent key, see `SkytaleClient.prove`."""
        self._native.prove(key, signature)

    def events(self, channel_name: str, timeout: float = 0.0) -> list[Event]:
        """Takes what happened to the channel since the last call; waits up to `timeout` seconds for the first."""
        return self._channel(channel_name).events(max(timeout, 0.0))

    # The end

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until the relay has everything that was sent; False if it has not after `timeout` seconds."""
        return self._native.flush(timeout)

    def close(self) -> None:
        """Stops listening and forgets the channels of this object; they stay in `data_dir`. May be called again."""
        self._closed.set()
        with self._lock:
            self._channels.clear()
        self._native.close()

    def __enter__(self) -> SkytaleChannelManager:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _take(self, channel_name: str, timeout: float, pause: float) -> list[Message]:
        channel = self._channel(channel_name)
        try:
            return channel.drain(max(timeout, 0.0), MOST_AT_ONCE, pause)
        except SkytaleError as error:
            raise ended(channel_name, error) from error

    def _activate(self, name: str, channel: _native.Channel) -> None:
        with self._lock:
            self._channels[name] = channel
        if self._on_message is not None:
            self._listen(name, f"skytale-{name}", lambda: self._hand_over(channel))
        if self._on_event is not None:
            self._listen(name, f"skytale-events-{name}", lambda: self._report(channel))

    def _channel(self, name: str) -> _native.Channel:
        with self._lock:
            channel = self._channels.get(name)
        if channel is None:
            raise unknown_channel(name, self._closed.is_set())
        return channel

    def _listen(self, name: str, thread_name: str, once: Callable[[], None]) -> None:
        channel = self._channel(name)

        def rounds() -> None:
            is_silent = False
            while not self._closed.is_set() and self._has(name, channel):
                try:
                    once()
                    is_silent = False
                except SkytaleError as error:
                    # Told once, not in every round until it is over: a disk may have room again, who was removed be added.
                    if not is_silent and not self._closed.is_set():
                        _log.error("channel listener for '%s' died: %s", name, error)
                    is_silent = True
                    self._closed.wait(_LISTENER_ROUND)

        threading.Thread(target=rounds, name=thread_name, daemon=True).start()

    def _has(self, name: str, channel: _native.Channel) -> bool:
        with self._lock:
            return self._channels.get(name) is channel

    def _hand_over(self, channel: _native.Channel) -> None:
        message = channel.next(_LISTENER_ROUND)
        if message is not None and self._on_message is not None:
            _call(self._on_message, message)

    def _report(self, channel: _native.Channel) -> None:
        for event in channel.events(_LISTENER_ROUND):
            if self._on_event is not None:
                _call(self._on_event, event)


def ended(channel_name: str, reason: SkytaleError) -> SkytaleError:
    """What `receive` raises when a channel cannot be read any more."""
    return SkytaleError(f"channel listener for '{channel_name}' died: {reason}", reason.code, reason.http_status)


def _call(callback: Callable[[Any], None], value: Any) -> None:
    """Calls what the program gave; its failure must not end the listening."""
    try:
        callback(value)
    except Exception:
        _log.exception("a callback failed")
