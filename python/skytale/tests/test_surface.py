"""What the published documents name is here, under these names and with these defaults; and both faces have the same methods."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import metadata
from typing import Any

import pytest

import skytale_sdk
from skytale_sdk import Channel, SkytaleChannelManager, SkytaleClient, SkytaleError, aio
from skytale_sdk.bridge import ProtocolBridge
from skytale_sdk.envelope import Envelope, Protocol
from skytale_sdk.integrations.a2a import SkytaleA2AAdapter
from skytale_sdk.integrations.mcp_transport import SkytaleTransport
from skytale_sdk.integrations.slim import SLIMAdapter

# Parameters as the documents list them, in their order; a default is named where the documents name one.
DOCUMENTED: list[tuple[Any, str, dict[str, object]]] = [
    (SkytaleClient, "endpoint data_dir identity api_key api_url", {"api_key": None, "api_url": None}),
    (SkytaleClient.create_channel, "name", {}),
    (SkytaleClient.generate_key_package, "", {}),
    (SkytaleClient.join_channel, "name welcome", {}),
    (Channel.add_member, "key_package", {}),
    (Channel.send, "payload", {}),
    (Channel.messages, "", {}),
    (
        SkytaleChannelManager,
        "identity endpoint data_dir api_key api_url",
        {"endpoint": None, "data_dir": None, "api_key": None, "api_url": None},
    ),
    (SkytaleChannelManager.create, "channel_name", {}),
    (SkytaleChannelManager.join, "channel_name welcome", {}),
    (SkytaleChannelManager.key_package, "", {}),
    (SkytaleChannelManager.add_member, "channel_name key_package", {}),
    (SkytaleChannelManager.send, "channel_name message", {}),
    (SkytaleChannelManager.receive, "channel_name timeout", {"timeout": 5.0}),
    (SkytaleChannelManager.receive_latest, "channel_name timeout", {"timeout": 5.0}),
    (SkytaleChannelManager.list_channels, "", {}),
    (SkytaleChannelManager.close, "", {}),
    (SkytaleChannelManager.invite, "channel_name max_uses ttl", {"max_uses": 1, "ttl": 3600}),
    (SkytaleChannelManager.join_with_token, "channel_name token timeout", {"timeout": 60.0}),
    (SkytaleChannelManager.send_envelope, "channel_name envelope", {}),
    (SkytaleChannelManager.receive_envelopes, "channel_name timeout", {"timeout": 5.0}),
    (Envelope, "protocol content_type payload metadata", {"metadata": None}),
    (Envelope.serialize, "", {}),
    (Envelope.deserialize, "data", {}),
    (SkytaleA2AAdapter, "manager agent_id", {}),
    (SkytaleA2AAdapter.create_context, "context_id", {}),
    (SkytaleA2AAdapter.join_context, "context_id welcome", {}),
    (SkytaleA2AAdapter.send_message, "context_id parts", {}),
    (SkytaleA2AAdapter.receive_messages, "context_id timeout", {"timeout": 5.0}),
    (SkytaleA2AAdapter.agent_card_extension, "", {}),
    (SkytaleTransport, "manager channel", {}),
    (SkytaleTransport.read, "", {}),
    (SkytaleTransport.write, "message", {}),
    (SkytaleTransport.close, "", {}),
    (SLIMAdapter, "manager", {}),
    (SLIMAdapter.publish, "destination payload content_type", {"content_type": "application/octet-stream"}),
    (SLIMAdapter.subscribe, "channel", {}),
    (SLIMAdapter.receive, "channel timeout", {"timeout": 5.0}),
    (ProtocolBridge, "manager", {}),
    (ProtocolBridge.bridge, "source target source_protocol target_protocol", {}),
    (ProtocolBridge.stop, "", {}),
]


def parameters(callable_: Any) -> list[inspect.Parameter]:
    return [parameter for name, parameter in inspect.signature(callable_).parameters.items() if name != "self"]


@pytest.mark.parametrize(("callable_", "names", "defaults"), DOCUMENTED, ids=[one[0].__qualname__ for one in DOCUMENTED])
def test_it_takes_what_is_documented_and_needs_nothing_else(callable_, names, defaults):
    has = parameters(callable_)
    documented, more = has[: len(names.split())], has[len(names.split()) :]

    assert [parameter.name for parameter in documented] == names.split()
    assert {parameter.name: parameter.default for parameter in documented if parameter.name in defaults} == defaults
    assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in documented)
    assert all(parameter.default is not parameter.empty for parameter in more)


def test_published_keywords_are_taken_where_the_documents_have_others(group):
    room = ("a/b/left", "a/b/right")
    with SkytaleChannelManager("alice", mock=True, mock_group=group) as alice, ProtocolBridge(alice) as bridge:
        for name in room:
            alice.create(name)
        ends = {"source_channel": room[0], "target_channel": room[1]}
        bridge.bridge(**ends, source_protocol=Protocol.A2A, target_protocol=Protocol.MCP)
        with pytest.raises(TypeError):
            bridge.bridge(*room, Protocol.A2A, Protocol.MCP, source_channel=room[0])
    with (
        SkytaleClient(identity=b"alice", mock=True, mock_group=group) as client,
        pytest.raises(SkytaleError, match="^MLS engine error"),
    ):
        client.join_channel(name="a/b/c", welcome_bytes=b"garbage")


def test_the_documented_names_are_where_the_documents_import_them_from():
    for module, names in {
        "skytale_sdk": ["SkytaleClient", "SkytaleChannelManager"],
        "skytale_sdk.envelope": ["Envelope", "Protocol"],
        "skytale_sdk.bridge": ["ProtocolBridge"],
        "skytale_sdk.integrations.a2a": ["SkytaleA2AAdapter"],
        "skytale_sdk.integrations.mcp_transport": ["SkytaleTransport"],
        "skytale_sdk.integrations.slim": ["SLIMAdapter"],
    }.items():
        assert all(hasattr(importlib.import_module(module), name) for name in names)
    # The first four are documented; the others stand in envelopes of later published members.
    assert [protocol.name for protocol in Protocol] == ["RAW", "A2A", "MCP", "SLIM", "ACP", "ANP", "LMOS", "NLIP", "STATE"]
    assert all(protocol.value == protocol.name.lower() for protocol in Protocol)


def test_the_documented_bridge_of_channels_that_cannot_exist_is_refused_as_a_runtime_error_and_ends(group):
    with SkytaleChannelManager("alice", mock=True, mock_group=group) as manager:
        bridge = ProtocolBridge(manager)
        with pytest.raises(RuntimeError, match="^this agent is not in the channel org/a2a-in"):
            bridge.bridge("org/a2a-in", "org/slim-out", Protocol.A2A, Protocol.SLIM)
        bridge.stop()


def test_extras_have_the_published_names():
    extras = set(metadata("skytale-sdk").get_all("Provides-Extra") or [])

    assert extras >= {"a2a", "all", "crewai", "langgraph", "mcp", "slim"}


def described(callable_: Any) -> list[tuple[str, object]]:
    return [(parameter.name, parameter.default) for parameter in parameters(callable_)]


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("face", "other", "only_there"),
    [
        (SkytaleClient, aio.SkytaleClient, {"open"}),
        (SkytaleChannelManager, aio.SkytaleChannelManager, {"open"}),
        (Channel, aio.Channel, set()),
    ],
)
def test_both_faces_have_the_same_methods_with_the_same_arguments(face, other, only_there):
    # What the awaited class calls of the native one is no part of either face.
    behind = {name for name in public(face) if name.endswith("_async")} | {"drain"}
    assert public(face) - behind == public(other) - only_there

    for name in public(face) - behind:
        here, there = getattr(face, name), getattr(other, name)
        if callable(here):
            assert described(here) == described(there), name
    if face is not Channel:
        # A callback in a thread is nothing for a program that awaits.
        assert [one for one in described(face) if one[0] not in ("on_message", "on_event")] == described(other)


def test_every_name_that_the_package_exports_is_there():
    assert all(hasattr(skytale_sdk, name) for name in skytale_sdk.__all__)
