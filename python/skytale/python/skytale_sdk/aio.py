"""The same client and channel manager for asyncio: the same names, to be awaited.

Nothing here blocks the event loop and nothing needs a thread per waiting call. Cancelling a call stops the waiting; what it had
begun (a message to be sent, a member to be added) may still happen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TypeVar

from . import _exit, _mock, _native, _settings
from .envelope import Envelope
from .errors import SkytaleError, unknown_channel
from .manager import MOST_AT_ONCE, PAUSE, ended
from .message import Event, Member, Message

Received = TypeVar("Received")


async def _opened(coming: asyncio.Future[_native.Parcel[Received]]) -> Received:
    """What was received. A caller that is cancelled after it came and before it goes on does not have it: it is received next."""
    try:
        parcel = await coming
    except asyncio.CancelledError:
        if coming.done() and not coming.cancelled() and coming.exception() is None:
            coming.result().give_back()
        raise
    return parcel.open()


class Channel:
    """An encrypted channel; see `skytale_sdk.Channel`."""

    def __init__(self, channel: _native.Channel) -> None:
        self._native = channel

    @property
    def name(self) -> str:
        return self._native.name

    @property
    def epoch(self) -> int:
        return self._native.epoch

    async def add_member(self, key_package: bytes) -> bytes:
        return await self._native.add_member_async(key_package)

    async def send(self, payload: bytes) -> None:
        await self._native.send_async(payload)

    async def messages(self) -> AsyncIterator[Message]:
        """Yields messages as they come: `async for message in channel.messages()`; ends when the client is closed."""
        while (message := await self.next()) is not None:
            yield message

    async def next(self, timeout: float | None = None) -> Message | None:
        """The next message; None if there is none within `timeout` seconds."""
        return await _opened(self._native.next_async(timeout))

    async def members(self) -> list[Member]:
        return await self._native.members_async()

    async def remove_member(self, member: bytes | int | Member) -> None:
        await self._native.remove_member_async(member)

    async def leave(self) -> None:
        await self._native.leave_async()

    async def rotate_key(self) -> None:
        await self._native.rotate_key_async()

    async def export_audit_key(self) -> bytes:
        return await self._native.export_audit_key_async()

    async def events(self, timeout: float = 0.0) -> list[Event]:
        return await self._native.events_async(timeout)


class SkytaleClient:
    """`skytale_sdk.SkytaleClient` for asyncio. Nothing is opened before the first `await`:

    async with SkytaleClient(endpoint, data_dir, identity) as client: ...
    client = await SkytaleClient(endpoint, data_dir, identity).open()
    """

    def __init__(
        self,
        endpoint: str | None = "",
        data_dir: str | os.PathLike[str] | None = "",
        identity: bytes = b"",
        api_key: str | None = None,
        api_url: str | None = None,
        mock: bool = False,
        mock_group: str | None = None,
        *,
        padding: bool = False,
        unbound_joins: bool = False,
        pins: Mapping[bytes, bytes] | None = None,
        passphrase: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        max_unread: int | None = None,
    ) -> None:
        self._settings = _settings.resolve(
            identity,
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
        self._opened: _native.Client | None = None

    async def open(self) -> SkytaleClient:
        """Opens the data directory and the connection; needed once, and done by `async with`."""
        if self._opened is None:
            self._opened = await _native.Client.open_async(**self._settings)
            _exit.remember(self._opened)
        return self

    @property
    def identity(self) -> bytes:
        return self._settings["identity"]

    async def create_channel(self, name: str, proven: bool = False) -> Channel:
        return Channel(await self._native.create_channel_async(name, proven))

    async def generate_key_package(self) -> bytes:
        return await self._native.generate_key_package_async()

    async def join_channel(self, name: str, welcome: bytes) -> Channel:
        return Channel(await self._native.join_channel_async(name, welcome))

    async def open_channel(self, name: str) -> Channel:
        return Channel(await self._native.open_channel_async(name))

    def channels(self) -> list[str]:
        return self._native.channels()

    async def invite(self, name: str, max_uses: int = 1, ttl: int = 3600) -> str:
        group = self._settings["mock_group"]
        if group is not None:
            return _mock.invite(group, self._native, name, max_uses, ttl)
        return await self._native.invite_async(name, max_uses, ttl)

    async def join_with_token(self, name: str, token: str, timeout: float = 60.0) -> Channel:
        group = self._settings["mock_group"]
        if group is not None:
            return Channel(await asyncio.to_thread(_mock.join, group, self._native, name, token))
        return Channel(await self._native.join_with_token_async(name, token, timeout))

    async def withdraw_join(self, name: str, token: str) -> bool:
        if self._settings["mock_group"] is not None:
            return _mock.withdraw(self._native, name, token)
        return await self._native.withdraw_join_async(name, token)

    async def rotate_key(self, name: str) -> None:
        await (await self.open_channel(name)).rotate_key()

    async def export_audit_key(self, name: str) -> bytes:
        return await (await self.open_channel(name)).export_audit_key()

    def statement(self) -> bytes:
        return self._native.statement()

    async def prove(self, key: bytes, signature: bytes) -> None:
        await self._native.prove_async(key, signature)

    async def flush(self, timeout: float = 5.0) -> bool:
        return await self._native.flush_async(timeout)

    async def close(self, timeout: float = 5.0) -> None:
        if self._opened is not None:
            await self._opened.close_async(timeout)

    async def __aenter__(self) -> SkytaleClient:
        return await self.open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def _native(self) -> _native.Client:
        if self._opened is None:
            raise SkytaleError("runtime error: the client is not open; use `async with` or `await client.open()`")
        return self._opened


class SkytaleChannelManager:
    """`skytale_sdk.SkytaleChannelManager` for asyncio; use `async with`, or `await manager.open()`."""

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
    ) -> None:
        who = identity.encode() if isinstance(identity, str) else identity
        self._client = SkytaleClient(
            endpoint,
            data_dir,
            who,
            api_key,
            api_url,
            mock,
            mock_group,
            padding=padding,
            unbound_joins=unbound_joins,
            pins=pins,
            passphrase=passphrase,
            ca_file=ca_file,
            max_unread=max_unread,
        )
        self._channels: dict[str, Channel] = {}
        self._is_closed = False

    async def open(self) -> SkytaleChannelManager:
        """Opens the client and the channels that its directory holds."""
        await self._client.open()
        for name in self._client.channels():
            self._channels[name] = await self._client.open_channel(name)
        return self

    async def create(self, channel_name: str, proven: bool = False) -> None:
        self._channels[channel_name] = await self._client.create_channel(channel_name, proven)

    async def join(self, channel_name: str, welcome: bytes) -> None:
        self._channels[channel_name] = await self._client.join_channel(channel_name, welcome)

    async def key_package(self) -> bytes:
        return await self._client.generate_key_package()

    async def add_member(self, channel_name: str, key_package: bytes) -> bytes:
        return await self._channel(channel_name).add_member(key_package)

    async def invite(self, channel_name: str, max_uses: int = 1, ttl: int = 3600) -> str:
        self._channel(channel_name)
        return await self._client.invite(channel_name, max_uses, ttl)

    async def join_with_token(self, channel_name: str, token: str, timeout: float = 60.0) -> None:
        self._channels[channel_name] = await self._client.join_with_token(channel_name, token, timeout)

    async def withdraw_join(self, channel_name: str, token: str) -> bool:
        return await self._client.withdraw_join(channel_name, token)

    def list_channels(self) -> list[str]:
        return sorted(self._channels)

    async def send(self, channel_name: str, message: str | bytes) -> None:
        await self._channel(channel_name).send(message.encode() if isinstance(message, str) else message)

    async def receive(self, channel_name: str, timeout: float = 5.0) -> list[str]:
        return [message.text for message in await self._take(channel_name, timeout, PAUSE if timeout > 0 else 0.0)]

    async def receive_latest(self, channel_name: str, timeout: float = 5.0) -> str | None:
        taken = await self.receive(channel_name, timeout)
        return taken[-1] if taken else None

    async def receive_messages(self, channel_name: str, timeout: float = 5.0) -> list[Message]:
        return await self._take(channel_name, timeout, 0.0)

    async def send_envelope(self, channel_name: str, envelope: Envelope) -> None:
        await self._channel(channel_name).send(envelope.serialize())

    async def receive_envelopes(self, channel_name: str, timeout: float = 5.0) -> list[Envelope]:
        return [Envelope.of(bytes(message)) for message in await self.receive_messages(channel_name, timeout)]

    async def members(self, channel_name: str) -> list[Member]:
        return await self._channel(channel_name).members()

    async def remove_member(self, channel_name: str, member: bytes | str | int | Member) -> None:
        await self._channel(channel_name).remove_member(member.encode() if isinstance(member, str) else member)

    async def leave(self, channel_name: str) -> None:
        await self._channel(channel_name).leave()
        self._channels.pop(channel_name, None)

    async def rotate_key(self, channel_name: str) -> None:
        await self._channel(channel_name).rotate_key()

    def epoch(self, channel_name: str) -> int:
        return self._channel(channel_name).epoch

    async def export_audit_key(self, channel_name: str) -> bytes:
        return await self._channel(channel_name).export_audit_key()

    def statement(self) -> bytes:
        return self._client.statement()

    async def prove(self, key: bytes, signature: bytes) -> None:
        await self._client.prove(key, signature)

    async def events(self, channel_name: str, timeout: float = 0.0) -> list[Event]:
        return await self._channel(channel_name).events(max(timeout, 0.0))

    async def flush(self, timeout: float = 5.0) -> bool:
        return await self._client.flush(timeout)

    async def close(self) -> None:
        self._is_closed = True
        self._channels.clear()
        await self._client.close()

    async def __aenter__(self) -> SkytaleChannelManager:
        return await self.open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _channel(self, channel_name: str) -> Channel:
        channel = self._channels.get(channel_name)
        if channel is None:
            raise unknown_channel(channel_name, self._is_closed)
        return channel

    async def _take(self, channel_name: str, timeout: float, pause: float) -> list[Message]:
        channel = self._channel(channel_name)._native
        try:
            return await _opened(channel.drain_async(max(timeout, 0.0), MOST_AT_ONCE, pause))
        except SkytaleError as error:
            raise ended(channel_name, error) from error
