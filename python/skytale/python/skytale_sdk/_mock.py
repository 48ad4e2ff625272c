"""Invites between mock agents: what the API server does otherwise, within one process."""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ChannelError, SkytaleError

if TYPE_CHECKING:
    from .manager import SkytaleChannelManager


@dataclass
class _Invite:
    group: str
    channel: str
    owner: weakref.ref[SkytaleChannelManager]
    left: int
    ends: float


_lock = threading.Lock()
_invites: dict[str, _Invite] = {}


def invite(group: str, owner: SkytaleChannelManager, channel: str, max_uses: int, ttl: int) -> str:
    """Makes a token that `redeem` accepts `max_uses` times during `ttl` seconds."""
    token = "skt_inv_" + secrets.token_urlsafe(32)
    with _lock:
        _invites[token] = _Invite(group, channel, weakref.ref(owner), max_uses, time.monotonic() + ttl)
    return token


def redeem(group: str, channel: str, token: str, key_package: Callable[[], bytes]) -> bytes:
    """Uses a token once and returns the Welcome; a token that does not fit loses no use."""
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
    return owner.add_member(channel, key_package())
