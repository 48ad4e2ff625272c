"""What tools say to a model: the same sentences in every framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..manager import SkytaleChannelManager

SEND = "Send an end-to-end encrypted message to everybody in a channel (org/namespace/service)."
RECEIVE = "Take the messages that wait on an encrypted channel; waits up to `timeout` seconds for the first one."
CHANNELS = "List the encrypted channels that this agent is in."


def send(manager: SkytaleChannelManager, channel: str, message: str) -> str:
    """Sends and says so."""
    manager.send(channel, message)
    return f"Message sent to {channel}"


def receive(manager: SkytaleChannelManager, channel: str, timeout: float | None = 5.0) -> str:
    """The messages, each behind its channel in brackets."""
    messages = manager.receive(channel, timeout=5.0 if timeout is None else timeout)
    return "\n".join(f"[{channel}] {message}" for message in messages) or f"No new messages on {channel}"


def channels(manager: SkytaleChannelManager) -> str:
    """The names of the channels."""
    return ", ".join(manager.list_channels()) or "No active channels"
