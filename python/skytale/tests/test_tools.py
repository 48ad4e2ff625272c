"""Channels as tools of agent frameworks: what a model can call and what it is told."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from skytale_sdk import integrations
from skytale_sdk.integrations import _answers
from standin import Room

CHANNEL = "org/ns/tools"

MODULES = {
    "a2a": ["SkytaleA2AAdapter"],
    "crewai": ["create_manager", "tools"],
    "langgraph": ["create_manager", "tools"],
    "mcp": ["create_server", "main"],
    "mcp_transport": ["SkytaleTransport"],
    "slim": ["SLIMAdapter"],
}


@pytest.mark.parametrize("name", MODULES)
def test_each_adapter_is_a_module_under_both_names(name):
    module, alias = (importlib.import_module(f"skytale_sdk.integrations.{spelled}") for spelled in (name, f"_{name}"))

    assert module.__all__ == alias.__all__ == MODULES[name]
    for thing in MODULES[name]:
        assert getattr(alias, thing) is getattr(module, thing)
    assert getattr(integrations, name) is module
    assert getattr(integrations, f"_{name}") is alias


def test_what_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="integrations' has no attribute 'smtp'"):
        integrations.smtp  # noqa: B018


@pytest.mark.parametrize("name", MODULES)
def test_no_framework_is_needed_to_import_an_adapter(name):
    program = f"""
import sys
for framework in ("mcp", "crewai", "langchain_core"):
    sys.modules[framework] = None
import skytale_sdk.integrations.{name} as module
for make in ("tools", "create_server"):
    if hasattr(module, make):
        try:
            getattr(module, make)(None)
        except ImportError as error:
            assert "pip install 'skytale-sdk[{name}]'" in str(error), error
        else:
            raise SystemExit("made without its framework")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_models_are_told_in_the_published_words():
    room = Room()
    alice, bob = room.manager(CHANNEL, "a/b/c"), room.manager(CHANNEL)

    assert _answers.receive(bob, CHANNEL, 0) == f"No new messages on {CHANNEL}"
    assert _answers.send(alice, CHANNEL, "one") == f"Message sent to {CHANNEL}"
    _answers.send(alice, CHANNEL, "two\nlines")
    assert _answers.receive(bob, CHANNEL, 0) == f"[{CHANNEL}] one\n[{CHANNEL}] two\nlines"
    assert _answers.channels(alice) == f"a/b/c, {CHANNEL}"
    assert _answers.channels(room.manager()) == "No active channels"


def test_langgraph_tools_send_and_receive():
    room = Room()
    sender, receiver = (integrations.langgraph.tools(room.manager(CHANNEL)) for _ in range(2))
    send, receive, channels = receiver

    assert [tool.name for tool in receiver] == ["skytale_send", "skytale_receive", "skytale_channels"]
    assert all(tool.description for tool in receiver)
    assert set(send.args) == {"channel", "message"}
    assert receive.args["timeout"]["default"] == 5.0
    assert sender[0].invoke({"channel": CHANNEL, "message": "hello"}) == f"Message sent to {CHANNEL}"
    assert receive.invoke({"channel": CHANNEL, "timeout": 0}) == f"[{CHANNEL}] hello"
    assert channels.invoke({}) == CHANNEL


@pytest.mark.parametrize("framework", ["langgraph", "crewai"])
def test_create_manager_takes_what_the_manager_takes(framework, monkeypatch):
    module = importlib.import_module(f"skytale_sdk.integrations.{framework}")
    taken = {}
    monkeypatch.setattr(module, "SkytaleChannelManager", lambda **settings: taken.update(settings) or "made")

    assert module.create_manager(identity=b"agent", mock=True) == "made"
    assert taken == {"identity": b"agent", "mock": True}
