"""Envelopes: what is written, what is read back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import struct

import pytest

from skytale_sdk import Envelope as FromPackage
from skytale_sdk.envelope import Envelope, Protocol


def frame(header: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<I", len(header)) + header + payload


def test_the_documented_example_has_the_bytes_of_the_published_package():
    envelope = Envelope(Protocol.A2A, "application/json", b'{"parts":[]}')

    data = envelope.serialize()

    assert data.hex() == (
        "230000007b2270223a22613261222c226374223a226170706c69636174696f6e2f6a736f6e227d7b227061727473223a5b5d7d"
    )
    assert Envelope.deserialize(data).protocol == Protocol.A2A
    assert Envelope.deserialize(data) == envelope
    assert FromPackage is Envelope


def test_metadata_travel_in_their_order_and_beyond_ascii():
    envelope = Envelope(Protocol.MCP, "text/plain", b"x", {"z": "\u00e9", "a": [1, None, {"b": 1.5}]})

    data = envelope.serialize()

    assert b'"md":{"z":"\\u00e9","a":[1,null,{"b":1.5}]}' in data
    assert Envelope.deserialize(data) == envelope


@pytest.mark.parametrize("metadata", [None, {}])
def test_no_metadata_are_not_sent_and_arrive_as_none(metadata):
    data = Envelope(Protocol.RAW, "text/plain", b"", metadata).serialize()

    assert data == frame(b'{"p":"raw","ct":"text/plain"}')
    assert Envelope.deserialize(data).metadata is None


def test_a_missing_content_type_is_octets_and_further_keys_are_ignored():
    envelope = Envelope.deserialize(frame(b'{"p":"slim","new":1}', b"payload"))

    assert envelope == Envelope(Protocol.SLIM, "application/octet-stream", b"payload")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\x00\x00\x00{",
        b"\xff\xff\xff\xff{}",
        frame(b"not json"),
        frame(b"[]"),
        frame(b'"raw"'),
        frame(b"\xff\xfe{}"),
        frame(b"{}"),
        frame(b'{"p":"unknown"}'),
        frame(b'{"p":1}'),
        frame(b'{"p":"raw","md":[]}'),
        frame(b'{"p":"raw","ct":"' + b"x" * 65_536 + b'"}'),
    ],
)
def test_what_is_no_envelope_is_a_value_error(data):
    with pytest.raises(ValueError):
        Envelope.deserialize(data)

    assert Envelope.of(data) == Envelope(Protocol.RAW, "application/octet-stream", data)


def test_a_header_beyond_the_limit_is_not_sent():
    with pytest.raises(ValueError):
        Envelope(Protocol.RAW, "text/plain", b"", {"k": "x" * 65_536}).serialize()


def test_what_json_cannot_say_is_not_sent():
    with pytest.raises(TypeError):
        Envelope(Protocol.RAW, "text/plain", b"", {"k": object()}).serialize()
    with pytest.raises(ValueError):
        Envelope(Protocol.RAW, "text/plain", b"", {"k": float("nan")}).serialize()


def test_an_envelope_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Envelope(Protocol.RAW, "text/plain", b"").payload = b"other"  # type: ignore[misc]


def test_a_protocol_is_its_value():
    assert [Protocol.RAW, Protocol.A2A, Protocol.MCP, Protocol.SLIM] == ["raw", "a2a", "mcp", "slim"]
    assert json.dumps(Protocol.A2A) == '"a2a"'
