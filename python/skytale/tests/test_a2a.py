"""The adapter for Agent2Agent messages."""

from __future__ import annotations

import json
import uuid

import pytest

from skytale_sdk.envelope import Envelope, Protocol
from skytale_sdk.integrations.a2a import SkytaleA2AAdapter
from standin import Manager, Room

CHANNEL = "org/a2a/research"


@pytest.fixture
def pair() -> tuple[Manager, Manager]:
    room = Room()
    return room.manager(CHANNEL), room.manager(CHANNEL)


def a2a(payload: bytes) -> Envelope:
    return Envelope(Protocol.A2A, "application/json", payload)


def test_a_message_arrives_as_it_was_sent(pair):
    alice, bob = (SkytaleA2AAdapter(manager, agent_id=name) for manager, name in zip(pair, ("alice", "bob")))
    parts = [{"type": "text", "text": "Grüße"}, {"type": "data", "data": {"n": [1, None]}}]

    alice.send_message("research", parts)
    (message,) = bob.receive_messages("research", timeout=0)

    assert uuid.UUID(message.pop("messageId")).version == 4
    assert message == {"contextId": "research", "agentId": "alice", "role": "agent", "parts": parts}
    assert bob.receive_messages("research", timeout=0) == []


def test_on_the_channel_a_message_has_the_published_form(pair):
    SkytaleA2AAdapter(pair[0], "alice").send_message("research", [])

    (envelope,) = pair[1].receive_envelopes(CHANNEL, timeout=0)

    assert (envelope.protocol, envelope.content_type) == (Protocol.A2A, "application/json")
    assert envelope.metadata == {"context_id": "research"}
    assert list(json.loads(envelope.payload)) == ["messageId", "contextId", "agentId", "role", "parts"]
    assert b" " not in envelope.payload


def test_a_context_is_the_channel_of_its_name(pair):
    adapter = SkytaleA2AAdapter(pair[0], "alice")

    adapter.create_context("notes")
    adapter.join_context("ideas", b"welcome")

    assert pair[0].created[-1] == "org/a2a/notes"
    assert pair[0].joined == [("org/a2a/ideas", b"welcome")]
    pair[0].create("org/other/channel")
    assert adapter.agent_card_extension() == {
        "agent_id": "alice",
        "channel_prefix": "org/a2a/",
        "active_contexts": ["ideas", "notes", "research"],
    }


def test_what_is_no_a2a_message_is_taken_and_left_out(pair):
    for payload in (b"not json", b"\xff", b"[1]", b"[" * 5000):
        pair[0].send_envelope(CHANNEL, a2a(payload))
    pair[0].send_envelope(CHANNEL, Envelope(Protocol.MCP, "application/json", b"{}"))
    pair[0].send(CHANNEL, "a plain text")
    pair[0].send_envelope(CHANNEL, a2a(b'{"messageId":"m"}'))
    adapter = SkytaleA2AAdapter(pair[1], "bob")

    assert adapter.receive_messages("research", timeout=0) == [{"messageId": "m"}]
    assert adapter.receive_messages("research", timeout=0) == []


def test_the_form_of_later_published_members_is_read_too(pair):
    message = {"messageId": "m", "parts": []}
    request = {"jsonrpc": "2.0", "method": "message/send", "id": "r", "params": {"message": message}}
    pair[0].send_envelope(CHANNEL, a2a(json.dumps(request).encode()))

    assert SkytaleA2AAdapter(pair[1], "bob").receive_messages("research", timeout=0) == [message]


def test_a_context_that_is_not_active_is_a_key_error(pair):
    adapter = SkytaleA2AAdapter(pair[0], "alice")

    with pytest.raises(KeyError):
        adapter.send_message("unknown", [])
    with pytest.raises(KeyError):
        adapter.receive_messages("unknown", timeout=0)


def test_an_answer_names_the_request_that_a_routed_bridge_translated(pair):
    alice, bob = (SkytaleA2AAdapter(manager, agent_id=name) for manager, name in zip(pair, ("alice", "bob")))

    alice.send_message("research", [], in_reply_to={"messageId": "m", "metadata": {"mcp_id": 7}})
    alice.send_message("research", [], in_reply_to={"messageId": "m"})

    routed, plain = bob.receive_messages("research", timeout=0)
    assert routed["metadata"] == {"mcp_reply_to": 7}
    assert "metadata" not in plain
