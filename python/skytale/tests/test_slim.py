"""The adapter for publish and subscribe."""

from __future__ import annotations

import pytest

from skytale_sdk.envelope import Envelope, Protocol
from skytale_sdk.integrations.slim import SLIMAdapter
from standin import Room

CHANNEL = "org/ns/events"


def test_what_is_published_is_received():
    room = Room()
    publisher, subscriber = SLIMAdapter(room.manager(CHANNEL)), SLIMAdapter(room.manager(CHANNEL))

    publisher.publish(CHANNEL, b"\x00\xff", content_type="image/x")
    publisher.publish(CHANNEL, b"")

    assert subscriber.receive(CHANNEL, timeout=0) == [b"\x00\xff", b""]
    assert subscriber.receive(CHANNEL, timeout=0) == []


def test_on_the_channel_a_payload_is_an_envelope_of_slim():
    room = Room()
    sender, receiver = room.manager(CHANNEL), room.manager(CHANNEL)

    SLIMAdapter(sender).publish(CHANNEL, b"x")

    assert receiver.receive_envelopes(CHANNEL, timeout=0) == [Envelope(Protocol.SLIM, "application/octet-stream", b"x")]


def test_payloads_of_any_protocol_are_received():
    room = Room()
    sender, receiver = room.manager(CHANNEL), room.manager(CHANNEL)

    sender.send_envelope(CHANNEL, Envelope(Protocol.A2A, "application/json", b"{}"))
    sender.send(CHANNEL, b"raw")

    assert SLIMAdapter(receiver).receive(CHANNEL, timeout=0) == [b"{}", b"raw"]


def test_subscribing_creates_a_channel_once_and_never_replaces_one():
    room = Room()
    manager = room.manager()
    adapter = SLIMAdapter(manager)

    adapter.subscribe(CHANNEL)
    adapter.subscribe(CHANNEL)
    SLIMAdapter(manager).subscribe(CHANNEL)

    assert manager.created == [CHANNEL]


def test_a_channel_that_is_not_active_is_a_key_error():
    adapter = SLIMAdapter(Room().manager())

    with pytest.raises(KeyError):
        adapter.publish(CHANNEL, b"x")
    with pytest.raises(KeyError):
        adapter.receive(CHANNEL, timeout=0)
