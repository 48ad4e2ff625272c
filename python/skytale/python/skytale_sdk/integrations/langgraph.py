"""Encrypted channels as tools for LangGraph and LangChain agents: `pip install 'skytale-sdk[langgraph]'`.

The three tools act on the channels of a manager:

    manager = create_manager(identity=b"my-agent")
    agent = create_react_agent(model, tools(manager))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ..manager import SkytaleChannelManager
from . import _answers

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["create_manager", "tools"]


def create_manager(**settings: Any) -> SkytaleChannelManager:
    """Makes a manager; takes what `SkytaleChannelManager` takes."""
    return SkytaleChannelManager(**settings)


def tools(manager: SkytaleChannelManager) -> list[BaseTool]:
    """The tools `skytale_send`, `skytale_receive` and `skytale_channels` on the channels of a manager.

    Raises:
        ImportError: langchain-core is not installed.
    """
    try:
        from langchain_core.tools import StructuredTool
    except ImportError as error:
        raise ImportError("LangGraph tools need langchain-core: pip install 'skytale-sdk[langgraph]'") from error

    def skytale_send(channel: str, message: str) -> str:
        return _answers.send(manager, channel, message)

    # `Optional`, since the tool's schema is made from the annotation at run time and Python 3.9 knows no `|` there.
    def skytale_receive(channel: str, timeout: Optional[float] = 5.0) -> str:  # noqa: UP045
        return _answers.receive(manager, channel, timeout)

    def skytale_channels() -> str:
        return _answers.channels(manager)

    return [
        StructuredTool.from_function(skytale_send, description=_answers.SEND),
        StructuredTool.from_function(skytale_receive, description=_answers.RECEIVE),
        StructuredTool.from_function(skytale_channels, description=_answers.CHANNELS),
    ]
