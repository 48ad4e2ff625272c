"""Encrypted channels as a tool server of the Model Context Protocol, over stdio: `pip install 'skytale-sdk[mcp]'`.

    SKYTALE_IDENTITY=my-agent python -m skytale_sdk.integrations.mcp

Relay, key and data directory come from the environment, as for `SkytaleChannelManager`. Channels that are kept in the data
directory are active again when the server starts.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from ..errors import SkytaleError
from ..manager import SkytaleChannelManager
from . import _answers

__all__ = ["create_server", "main"]

_IDENTITY = "mcp-agent"


def create_server(manager: SkytaleChannelManager) -> Any:
    """A server (`MCPServer`, or `FastMCP` before version 2) with the tools `skytale_*` on the channels of a manager.

    What a tool raises is an answer with `isError`.

    Raises:
        ImportError: the package mcp is not installed.
    """
    make_server, failure = _framework()
    server = make_server("skytale")

    # Tools wait in threads, so that one that waits for messages does not hold up the others.
    async def skytale_create_channel(channel: str) -> str:
        """Create an encrypted channel (org/namespace/service) with this agent as its first member."""
        await asyncio.to_thread(manager.create, channel)
        return f"Channel {channel} created"

    async def skytale_key_package() -> str:
        """Make a key package, in hex. A member of a channel can add this agent with it, once."""
        return (await asyncio.to_thread(manager.key_package)).hex()

    async def skytale_add_member(channel: str, key_package_hex: str) -> str:
        """Add an agent to a channel by its key package. Returns the Welcome, in hex, with which that agent joins."""
        _check_active(manager, channel)
        key_package = _from_hex(key_package_hex, "key_package_hex")
        return (await asyncio.to_thread(manager.add_member, channel, key_package)).hex()

    async def skytale_join_channel(channel: str, welcome_hex: str) -> str:
        """Join a channel by the Welcome, in hex, that a member got when it added this agent."""
        await asyncio.to_thread(manager.join, channel, _from_hex(welcome_hex, "welcome_hex"))
        return f"Joined channel {channel}"

    async def skytale_send(channel: str, message: str) -> str:
        _check_active(manager, channel)
        return await asyncio.to_thread(_answers.send, manager, channel, message)

    async def skytale_receive(channel: str, timeout: float = 5.0) -> str:
        _check_active(manager, channel)
        return await asyncio.to_thread(_answers.receive, manager, channel, timeout)

    async def skytale_channels() -> str:
        return _answers.channels(manager)

    # A tool without a description here is described by its own text.
    tools: list[tuple[Callable[..., Any], str | None]] = [
        (skytale_create_channel, None),
        (skytale_key_package, None),
        (skytale_add_member, None),
        (skytale_join_channel, None),
        (skytale_send, _answers.SEND),
        (skytale_receive, _answers.RECEIVE),
        (skytale_channels, _answers.CHANNELS),
    ]
    for tool, description in tools:
        server.add_tool(_explained(tool, failure), description=description)
    return server


def main() -> None:
    """Serves on stdin and stdout until stdin ends."""
    try:
        _framework()
        manager = SkytaleChannelManager(identity=os.environ.get("SKYTALE_IDENTITY") or _IDENTITY)
    except (SkytaleError, ImportError) as error:
        raise SystemExit(f"skytale: {error}") from error
    with manager:
        create_server(manager).run()


def _framework() -> tuple[Any, Any]:
    """The class of servers, and the exception whose text is shown to the model."""
    for module, name in (("mcpserver", "MCPServer"), ("fastmcp", "FastMCP")):
        try:
            server = importlib.import_module(f"mcp.server.{module}")
            exceptions = importlib.import_module(f"mcp.server.{module}.exceptions")
        except ImportError:
            # Version 1 of the package has the second one, later versions the first.
            continue
        return getattr(server, name), exceptions.ToolError
    raise ImportError("the MCP server needs the package mcp: pip install 'skytale-sdk[mcp]'")


def _explained(tool: Callable[..., Any], failure: Any) -> Callable[..., Any]:
    """The tool, with what it raises shown to the model; the framework hides other exceptions."""

    @functools.wraps(tool)
    async def explained(**arguments: Any) -> str:
        try:
            return str(await tool(**arguments))
        except (SkytaleError, ValueError) as error:
            raise failure(str(error)) from error

    return explained


def _check_active(manager: SkytaleChannelManager, channel: str) -> None:
    if channel not in manager.list_channels():
        raise ValueError(f"this agent is not in {channel}; create or join the channel first")


def _from_hex(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{name} is not hex; pass on what the other agent's tool returned, unchanged") from None


if __name__ == "__main__":
    main()
