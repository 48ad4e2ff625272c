"""Agent2Agent messages over encrypted channels.

Each context of A2A is the channel `org/a2a/<context id>`. Messages travel as envelopes of `Protocol.A2A`.

    adapter = SkytaleA2AAdapter(manager, agent_id="agent-1")
    adapter.create_context("research")
    adapter.send_message("research", [{"type": "text", "text": "Hello"}])
    for message in adapter.receive_messages("research"):
        print(message["agentId"], message["parts"])
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..envelope import Envelope, Protocol

if TYPE_CHECKING:
    from ..manager import SkytaleChannelManager

__all__ = ["SkytaleA2AAdapter"]

_log = logging.getLogger("skytale_sdk")

_CHANNELS = "org/a2a/"


class SkytaleA2AAdapter:
    """Sends and receives A2A messages on the channels of a manager.

    Args:
        manager: whose channels are used.
        agent_id: who the messages are said to be from. Members see the sender's identity in any case; this is for A2A programs.
    """

    def __init__(self, manager: SkytaleChannelManager, agent_id: str) -> None:
        self._manager = manager
        self._agent_id = agent_id

    def create_context(self, context_id: str) -> None:
        """Creates the channel of a context.

        Raises:
            ChannelError: the id cannot be a part of a channel's name.
        """
        self._manager.create(_channel(context_id))

    def join_context(self, context_id: str, welcome: bytes) -> None:
        """Joins the channel of a context by a Welcome message."""
        self._manager.join(_channel(context_id), welcome)

    def send_message(
        self, context_id: str, parts: Sequence[Mapping[str, Any]], *, in_reply_to: Mapping[str, Any] | None = None
    ) -> None:
        """Sends a message.

        Args:
            context_id: the context, created or joined before.
            parts: such as `[{"type": "text", "text": "Hello"}]`.
            in_reply_to: a message that was received and that this one answers. If it was a request of MCP before a bridge with
                `routed=True` translated it, such a bridge makes the answer to that request of this message.

        Raises:
            KeyError: the context is neither created nor joined.
            TypeError: `parts` hold something that JSON cannot say.
        """
        message: dict[str, Any] = {
            "messageId": str(uuid.uuid4()),
            "contextId": context_id,
            "agentId": self._agent_id,
            "role": "agent",
            "parts": list(parts),
        }
        asked = (in_reply_to or {}).get("metadata")
        if isinstance(asked, dict) and "mcp_id" in asked:
            message["metadata"] = {"mcp_reply_to": asked["mcp_id"]}
        payload = json.dumps(message, separators=(",", ":")).encode()
        envelope = Envelope(Protocol.A2A, "application/json", payload, {"context_id": context_id})
        self._manager.send_envelope(_channel(context_id), envelope)

    def receive_messages(self, context_id: str, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Takes all messages that wait; waits up to `timeout` seconds for the first one.

        What is no A2A message is taken too and left out. A message that is wrapped in a request `message/send` is unwrapped.

        Raises:
            KeyError: the context is neither created nor joined.
        """
        taken = self._manager.receive_envelopes(_channel(context_id), timeout=timeout)
        messages = (_message(envelope) for envelope in taken if envelope.protocol == Protocol.A2A)
        return [message for message in messages if message is not None]

    def agent_card_extension(self) -> dict[str, Any]:
        """What an agent's card says about its encrypted channels."""
        names = self._manager.list_channels()
        contexts = sorted(name[len(_CHANNELS) :] for name in names if name.startswith(_CHANNELS))
        return {"agent_id": self._agent_id, "channel_prefix": _CHANNELS, "active_contexts": contexts}


def _channel(context_id: str) -> str:
    return _CHANNELS + context_id


def _message(envelope: Envelope) -> dict[str, Any] | None:
    try:
        message = json.loads(envelope.payload)
    except (ValueError, RecursionError) as error:
        _log.warning("an A2A envelope without a JSON payload was skipped: %s", error)
        return None
    if isinstance(message, dict) and message.get("method") == "message/send":
        params = message.get("params")
        message = params.get("message", message) if isinstance(params, dict) else message
    if not isinstance(message, dict):
        _log.warning("an A2A envelope whose payload is no JSON object was skipped")
        return None
    return message
