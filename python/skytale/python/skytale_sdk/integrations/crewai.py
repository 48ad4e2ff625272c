"""Encrypted channels as tools for CrewAI agents: `pip install 'skytale-sdk[crewai]'`.

The three tools act on the channels of a manager:

    manager = create_manager(identity=b"my-agent")
    agent = Agent(role="...", goal="...", backstory="...", tools=tools(manager))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..manager import SkytaleChannelManager
from . import _answers

if TYPE_CHECKING:
    from crewai.tools import BaseTool

__all__ = ["create_manager", "tools"]


def create_manager(**settings: Any) -> SkytaleChannelManager:
    """Makes a manager; takes what `SkytaleChannelManager` takes."""
    return SkytaleChannelManager(**settings)


def tools(manager: SkytaleChannelManager) -> list[BaseTool]:
    """The tools `skytale_send`, `skytale_receive` and `skytale_channels` on the channels of a manager.

    Raises:
        ImportError: crewai is not installed.
    """
    try:
        from crewai.tools import tool
    except ImportError as error:
        raise ImportError("CrewAI tools need crewai: pip install 'skytale-sdk[crewai]'") from error

    def send(channel: str, message: str) -> str:
        return _answers.send(manager, channel, message)

    def receive(channel: str, timeout: float = 5.0) -> str:
        return _answers.receive(manager, channel, timeout)

    def channels() -> str:
        return _answers.channels(manager)

    # CrewAI takes a tool's description from its function's.
    send.__doc__, receive.__doc__, channels.__doc__ = _answers.SEND, _answers.RECEIVE, _answers.CHANNELS
    return [tool("skytale_send")(send), tool("skytale_receive")(receive), tool("skytale_channels")(channels)]
