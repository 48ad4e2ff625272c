"""Bridges: what they pass on, what they leave out, and that they end."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest

from skytale_sdk import UnknownChannelError
from skytale_sdk.bridge import ProtocolBridge, translate
from skytale_sdk.envelope import Envelope, Protocol
from standin import Manager, Room

LEFT, RIGHT = "org/bridge/left", "org/bridge/right"
PATIENCE = 30.0
VECTORS = Path(__file__).resolve().parents[3] / "channels" / "tests" / "vectors" / "bridge.json"


def a2a(**message: object) -> Envelope:
    return Envelope(Protocol.A2A, "application/json", json.dumps(message).encode())


def mcp(**message: object) -> Envelope:
    return Envelope(Protocol.MCP, "application/json", json.dumps(message).encode())


@pytest.fixture
def people() -> tuple[Room, Manager, Manager, Manager]:
    """A room; one manager on the left, one on both sides, one on the right."""
    room = Room()
    return room, room.manager(LEFT), room.manager(LEFT, RIGHT), room.manager(RIGHT)


def next_of(manager: Manager, channel: str) -> Envelope:
    (envelope,) = manager.receive_envelopes(channel, timeout=PATIENCE)
    return envelope


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text())["cases"], ids=lambda case: case["source"]["protocol"])
def test_translations_are_those_of_published_bridges(case):
    source, expected = case["source"], case["result"]
    payload = bytes.fromhex(source["payload_hex"])
    envelope = Envelope(Protocol(source["protocol"]), source["content_type"], payload, source["metadata"])

    translated = translate(envelope, Protocol(case["target_protocol"]))

    assert (translated.protocol, translated.content_type) == (expected["protocol"], expected["content_type"])
    assert translated.metadata == expected["metadata"]
    if expected.get("payload_unchanged"):
        assert translated.payload == payload
        return
    said, wanted = json.loads(translated.payload), expected["payload_json"]
    for name in ("id", "messageId"):
        if wanted.get(name) == "<uuid4>":
            assert len(said.pop(name)) == 36 and wanted.pop(name)
    assert said == wanted


def test_both_directions_are_translated(people):
    _, left, middle, right = people
    with ProtocolBridge(middle) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)
        bridge.bridge(RIGHT, LEFT, Protocol.SLIM, Protocol.A2A)

        left.send_envelope(LEFT, a2a(messageId="m-1", parts=[]))
        there = next_of(right, RIGHT)
        right.send_envelope(RIGHT, there)
        back = next_of(left, LEFT)

    assert (there.protocol, there.content_type) == (Protocol.SLIM, "application/a2a+json")
    assert (back.protocol, json.loads(back.payload)) == (Protocol.A2A, {"messageId": "m-1", "parts": []})


def test_the_protocol_of_each_envelope_decides_and_not_the_declared_one(people):
    _, left, middle, right = people
    with ProtocolBridge(middle) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)

        left.send_envelope(LEFT, mcp(jsonrpc="2.0", method="ping", id=1))

        assert next_of(right, RIGHT).content_type == "application/mcp+json"


def test_what_is_no_envelope_is_passed_on_as_bytes(people):
    _, left, middle, right = people
    with ProtocolBridge(middle) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)

        left.send(LEFT, "a plain text")

        assert next_of(right, RIGHT) == Envelope(Protocol.SLIM, "application/octet-stream", b"a plain text")


def test_a_message_that_fails_is_reported_and_the_next_one_is_passed_on(people, caplog):
    _, left, middle, right = people
    reported = []
    told = threading.Event()

    def on_failure(envelope, error):
        reported.append((envelope, str(error)))
        told.set()
        raise ValueError("a mistake in the callback")

    middle.refuses.add(RIGHT)
    with caplog.at_level(logging.WARNING, "skytale_sdk"), ProtocolBridge(middle, on_failure=on_failure) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)
        left.send_envelope(LEFT, a2a(n=1))
        assert told.wait(PATIENCE)
        middle.refuses.clear()
        left.send_envelope(LEFT, a2a(n=2))

        assert json.loads(next_of(right, RIGHT).payload) == {"n": 2}
    assert reported == [(a2a(n=1), f"message too large for {RIGHT}")]
    assert f"left out by the bridge from {LEFT} to {RIGHT}" in caplog.text
    assert "on_failure of a bridge failed" in caplog.text


def test_a_stopped_bridge_has_ended_and_begins_nothing(people):
    _, left, middle, right = people
    bridge = ProtocolBridge(middle)
    bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)

    bridge.stop()
    bridge.stop()
    left.send_envelope(LEFT, a2a())

    assert not [thread for thread in threading.enumerate() if thread.name == "skytale-bridge-a2a-slim"]
    assert right.receive_envelopes(RIGHT, timeout=0) == []
    with pytest.raises(RuntimeError, match="bridge stopped"):
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)


def test_a_bridge_may_be_stopped_from_its_own_callback(people):
    _, left, middle, _ = people
    stopped = threading.Event()
    middle.refuses.add(RIGHT)
    bridge = ProtocolBridge(middle, on_failure=lambda *_: (bridge.stop(), stopped.set()))
    bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)

    left.send_envelope(LEFT, a2a())

    assert stopped.wait(PATIENCE)
    bridge.stop()


def test_a_direction_ends_when_its_channel_is_left_and_says_so(people, caplog):
    _, _, middle, _ = people
    with caplog.at_level(logging.ERROR, "skytale_sdk"), ProtocolBridge(middle) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "skytale-bridge-a2a-slim")

        middle.forget(LEFT)
        thread.join(PATIENCE)

        assert not thread.is_alive()
    assert f"the agent is not in {LEFT} any more" in caplog.text


def test_two_channels_and_known_protocols_are_needed(people):
    bridge = ProtocolBridge(people[2])

    with pytest.raises(ValueError, match="two channels"):
        bridge.bridge(LEFT, LEFT, Protocol.A2A, Protocol.SLIM)
    with pytest.raises(ValueError):
        bridge.bridge(LEFT, RIGHT, "smtp", Protocol.SLIM)


@pytest.mark.parametrize(("second_has_guard", "to_right", "to_left"), [(True, 2, 2), (False, 3, 2)])
def test_one_loop_guard_ends_the_loop_of_two_bridges_back_to_back(people, second_has_guard, to_right, to_left):
    room, left, first, right = people
    second = room.manager(LEFT, RIGHT)

    def collect(manager, channel, text, count):
        """Exactly what arrives until `count` messages with the text have."""
        arrived = []
        while sum(text in envelope.payload for envelope in arrived) < count:
            arrived += manager.receive_envelopes(channel, timeout=PATIENCE)
        return arrived

    with ProtocolBridge(first, loop_guard=True) as one, ProtocolBridge(second, loop_guard=second_has_guard) as two:
        for bridge in (one, two):
            bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.SLIM)
            bridge.bridge(RIGHT, LEFT, Protocol.SLIM, Protocol.A2A)

        # Both bridges send it to the right and, what the other one sent, back to the left; there the guard holds.
        left.send_envelope(LEFT, a2a(messageId="first"))
        there, back = collect(right, RIGHT, b"first", to_right), collect(left, LEFT, b"first", to_left)
        # The next message goes the same ways behind it, so whatever else the first one caused would come before.
        left.send_envelope(LEFT, a2a(messageId="second"))
        later = collect(right, RIGHT, b"second", to_right) + collect(left, LEFT, b"second", to_left)

    assert (len(there), len(back), len(later)) == (to_right, to_left, to_right + to_left)
    assert all(json.loads(envelope.payload) == {"messageId": "first"} for envelope in there + back)


def test_without_a_loop_guard_nothing_is_added_to_a_message(people):
    _, left, middle, right = people
    with ProtocolBridge(middle) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.A2A, Protocol.MCP)

        left.send_envelope(LEFT, a2a(messageId="m", parts=[]))

        assert next_of(right, RIGHT).metadata is None


def test_by_a_routed_bridge_an_answer_has_the_id_of_its_request(people):
    _, left, middle, right = people
    with ProtocolBridge(middle, routed=True) as bridge:
        bridge.bridge(LEFT, RIGHT, Protocol.MCP, Protocol.A2A)
        bridge.bridge(RIGHT, LEFT, Protocol.A2A, Protocol.MCP)

        left.send_envelope(LEFT, mcp(jsonrpc="2.0", method="tools/call", params={"name": "f"}, id=7))
        asked = json.loads(next_of(right, RIGHT).payload)
        reply = {"parts": [{"type": "text", "text": "4"}], "metadata": {"mcp_reply_to": asked["metadata"]["mcp_id"]}}
        right.send_envelope(RIGHT, a2a(**reply))

        answer = json.loads(next_of(left, LEFT).payload)
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "4"}]}}


def test_a_bridge_to_a_channel_that_the_agent_is_not_in_is_refused_at_once(people):
    room, left, both, right = people
    with ProtocolBridge(left) as bridge:
        for source, target in ((LEFT, RIGHT), (RIGHT, LEFT)):
            with pytest.raises(UnknownChannelError, match=f"not in the channel {RIGHT}; create or join it first"):
                bridge.bridge(source, target, Protocol.A2A, Protocol.SLIM)
