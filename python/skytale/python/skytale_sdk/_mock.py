"""Invites between mock clients: what the API server does otherwise, within one process."""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from dataclasses import dataclass

from . import _native
from .errors import ChannelError, SkytaleError


@dataclass
class _Invite:
    group: str
    channel: str
    owner: weakref.ref[_native.Client]
    left: int
    ends: float


_lock = threading.Lock()
_invites: dict[str, _Invite] = {}


def invite(group: str, owner: _native.Client, name: str, max_uses: int, ttl: int) -> str:
    """Makes a token that `join` accepts `max_uses` times during `ttl` seconds, while the owner is open."""
    channel = owner.open_channel(name)
    for field, value in (("max_uses", max_uses), ("ttl_seconds", ttl)):
        if value < 1:
            raise ChannelError(f"API error (400): {field} is {value}; it is at least 1", "bad_request", 400)
    token = "skt_inv_" + secrets.token_urlsafe(32)
    with _lock:
        _invites[token] = _Invite(group, channel.name, weakref.ref(owner), max_uses, time.monotonic() + ttl)
    return token


def join(group: str, client: _native.Client, name: str, token: str) -> _native.Channel:
    """Uses a token once; a token that does not fit loses no use."""
    owner = _take(group, name, token)
    return client.join_channel(name, owner.open_channel(name).add_member(client.generate_key_package()))


def withdraw(client: _native.Client, name: str, token: str) -> bool:
    """Nobody waits here to be let in: `join` is done at once."""
    with _lock:
        found = _invites.get(token)
    if found is not None and found.channel == name and name in client.channels():
        raise ChannelError(f"this member is in {name} already; leave() takes it out again", "refused")
    return False


def _take(group: str, channel: str, token: str) -> _native.Client:
    with _lock:
        found = _invites.get(token)
        if found is None or found.group != group:
            raise ChannelError("API error (404): invite not found; ask for a new one", "not_found", 404)
        if found.channel != channel:
            raise ChannelError(f"API error (400): the invite is not for {channel}", "bad_request", 400)
        if time.monotonic() >= found.ends:
            raise ChannelError("API error (400): the invite has expired; ask for a new one", "bad_request", 400)
        if found.left < 1:
            raise ChannelError("API error (400): the invite is used up; ask for a new one", "bad_request", 400)
        owner = found.owner()
        if owner is None:
            raise SkytaleError("join failed: the agent that made the invite is gone", "timeout")
        found.left -= 1
    return owner
