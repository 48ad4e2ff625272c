"""Managers without a network or groups: what one sends on a channel, the others in it receive."""

from __future__ import annotations

import threading
from collections import deque

from skytale_sdk.envelope import Envelope


class Room:
    """Where managers meet."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.managers: list[Manager] = []

    def manager(self, *channels: str) -> Manager:
        """A manager that is in these channels."""
        manager = Manager(self)
        for channel in channels:
            manager.create(channel)
        self.managers.append(manager)
        return manager


class Manager:
    """The part of `SkytaleChannelManager` that adapters use."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.created: list[str] = []
        self.joined: list[tuple[str, bytes]] = []
        self.sent: list[tuple[str, bytes]] = []
        self.refuses: set[str] = set()
        self._waiting: dict[str, deque[bytes]] = {}

    def create(self, channel: str) -> None:
        self.created.append(channel)
        self._waiting[channel] = deque()

    def join(self, channel: str, welcome: bytes) -> None:
        self.joined.append((channel, welcome))
        self._waiting[channel] = deque()

    def list_channels(self) -> list[str]:
        return sorted(self._waiting)

    def forget(self, channel: str) -> None:
        with self.room.changed:
            del self._waiting[channel]
            self.room.changed.notify_all()

    def send(self, channel: str, message: str | bytes) -> None:
        if channel in self.refuses:
            raise RuntimeError(f"message too large for {channel}")
        payload = message.encode() if isinstance(message, str) else message
        with self.room.changed:
            self._waiting[channel]
            self.sent.append((channel, payload))
            for other in self.room.managers:
                if other is not self and channel in other._waiting:
                    other._waiting[channel].append(payload)
            self.room.changed.notify_all()

    def take(self, channel: str, timeout: float) -> list[bytes]:
        with self.room.changed:
            self.room.changed.wait_for(lambda: channel not in self._waiting or self._waiting[channel], timeout)
            waiting = self._waiting[channel]
            taken = list(waiting)
            waiting.clear()
            return taken

    def receive(self, channel: str, timeout: float = 5.0) -> list[str]:
        return [payload.decode("utf-8", "replace") for payload in self.take(channel, timeout)]

    def send_envelope(self, channel: str, envelope: Envelope) -> None:
        self.send(channel, envelope.serialize())

    def receive_envelopes(self, channel: str, timeout: float = 5.0) -> list[Envelope]:
        return [Envelope.of(payload) for payload in self.take(channel, timeout)]
