"""JSON-RPC over a channel."""

from __future__ import annotations

import asyncio

import pytest

from skytale_sdk.envelope import Envelope, Protocol
from skytale_sdk.integrations.mcp_transport import SkytaleTransport
from standin import Manager, Room

CHANNEL = "org/ns/mcp-rpc"


@pytest.fixture
def pair() -> tuple[Manager, Manager]:
    room = Room()
    return room.manager(CHANNEL), room.manager(CHANNEL)


def mcp(payload: bytes) -> Envelope:
    return Envelope(Protocol.MCP, "application/json", payload)


def test_messages_are_read_in_the_order_in_which_they_were_written(pair):
    async def scenario():
        client, server = SkytaleTransport(pair[0], CHANNEL), SkytaleTransport(pair[1], CHANNEL)
        for number in range(3):
            await client.write({"jsonrpc": "2.0", "method": "ping", "id": number})
        read = [(await server.read())["id"] for _ in range(3)]
        await server.write({"jsonrpc": "2.0", "result": "ü", "id": 0})
        return read, await client.read()

    assert asyncio.run(scenario()) == ([0, 1, 2], {"jsonrpc": "2.0", "result": "ü", "id": 0})


def test_on_the_channel_a_message_has_the_published_form(pair):
    asyncio.run(SkytaleTransport(pair[0], CHANNEL).write({"a": [1, "ü"]}))

    assert pair[1].receive_envelopes(CHANNEL, timeout=0) == [mcp(b'{"a":[1,"\\u00fc"]}')]


def test_what_is_not_of_mcp_is_passed_over(pair):
    pair[0].send(CHANNEL, "a plain text")
    pair[0].send_envelope(CHANNEL, Envelope(Protocol.A2A, "application/json", b'{"id":0}'))
    for payload in (b"not json", b"\xff", b"[" * 5000, b'{"id":1}'):
        pair[0].send_envelope(CHANNEL, mcp(payload))

    assert asyncio.run(SkytaleTransport(pair[1], CHANNEL).read()) == {"id": 1}


def test_a_read_waits_until_there_is_something(pair):
    async def scenario():
        reading = asyncio.ensure_future(SkytaleTransport(pair[1], CHANNEL).read())
        done, _ = await asyncio.wait([reading], timeout=0)
        assert not done
        await SkytaleTransport(pair[0], CHANNEL).write({"id": 1})
        return await reading

    assert asyncio.run(scenario()) == {"id": 1}


def test_a_read_that_is_cancelled_loses_no_message(pair):
    async def scenario():
        transport = SkytaleTransport(pair[1], CHANNEL)
        reading = asyncio.ensure_future(transport.read())
        await asyncio.wait([reading], timeout=0)
        reading.cancel()
        for number in range(3):
            await SkytaleTransport(pair[0], CHANNEL).write({"id": number})
        return [(await transport.read())["id"] for _ in range(3)]

    assert asyncio.run(scenario()) == [0, 1, 2]


def test_a_closed_transport_neither_reads_nor_writes(pair):
    async def scenario():
        transport = SkytaleTransport(pair[1], CHANNEL)
        reading = asyncio.ensure_future(transport.read())
        await asyncio.wait([reading], timeout=0)
        await transport.close()
        await transport.close()
        for attempt in (reading, transport.read(), transport.write({})):
            with pytest.raises(RuntimeError, match="transport closed"):
                await attempt

    asyncio.run(scenario())
    assert pair[1].sent == []


def test_a_channel_that_is_not_active_is_a_key_error():
    with pytest.raises(KeyError):
        asyncio.run(SkytaleTransport(Room().manager(), CHANNEL).read())
