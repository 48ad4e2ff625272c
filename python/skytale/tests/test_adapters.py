"""Adapters and bridges over real groups: between mock agents, and over a relay."""

from __future__ import annotations

import asyncio
import json

import pytest

from skytale_sdk import SkytaleChannelManager
from skytale_sdk.bridge import ProtocolBridge
from skytale_sdk.envelope import Envelope, Protocol
from skytale_sdk.integrations.a2a import SkytaleA2AAdapter
from skytale_sdk.integrations.langgraph import tools
from skytale_sdk.integrations.mcp_transport import SkytaleTransport
from skytale_sdk.integrations.slim import SLIMAdapter

SOON = 20.0


@pytest.fixture(params=["mock", "relay"])
def agents(request, group, tmp_path):
    """`agents("alice")` starts an agent; all of them reach each other."""
    running = []
    relay = request.getfixturevalue("relay") if request.param == "relay" else None

    def start(identity):
        if relay is None:
            agent = SkytaleChannelManager(identity, mock=True, mock_group=group)
        else:
            agent = SkytaleChannelManager(identity, relay.endpoint, tmp_path / identity, api_key=relay.key, api_url=relay.api_url)
        running.append(agent)
        return agent

    yield start
    for agent in running:
        agent.close()


def let_in(owner, joiner, channel):
    joiner.join(channel, owner.add_member(channel, joiner.key_package()))


def next_envelope(agent, channel):
    (envelope,) = agent.receive_envelopes(channel, timeout=SOON)
    return envelope


def test_agents_talk_a2a_in_a_context(agents):
    alice, bob = agents("alice"), agents("bob")
    asks, answers = SkytaleA2AAdapter(alice, "agent-1"), SkytaleA2AAdapter(bob, "agent-2")
    asks.create_context("research")
    answers.join_context("research", alice.add_member("org/a2a/research", bob.key_package()))

    asks.send_message("research", [{"type": "text", "text": "Hello"}])
    (asked,) = answers.receive_messages("research", timeout=SOON)
    answers.send_message("research", [{"type": "text", "text": "Hi"}], in_reply_to=asked)
    (answered,) = asks.receive_messages("research", timeout=SOON)

    assert (asked["agentId"], asked["parts"]) == ("agent-1", [{"type": "text", "text": "Hello"}])
    assert (answered["agentId"], answered["contextId"]) == ("agent-2", "research")
    assert asks.agent_card_extension()["active_contexts"] == ["research"]


def test_json_rpc_goes_both_ways_over_a_channel(agents):
    channel = "org/ns/mcp-rpc"
    alice, bob = agents("alice"), agents("bob")
    alice.create(channel)
    let_in(alice, bob, channel)

    async def serve(transport):
        request = await transport.read()
        await transport.write({"jsonrpc": "2.0", "id": request["id"], "result": {"method": request["method"]}})

    async def scenario():
        async with SkytaleTransport(alice, channel) as client, SkytaleTransport(bob, channel) as server:
            serving = asyncio.ensure_future(serve(server))
            await client.write({"jsonrpc": "2.0", "method": "ping", "id": 1})
            answer = await client.read()
            await serving
            return answer

    assert asyncio.run(scenario()) == {"jsonrpc": "2.0", "id": 1, "result": {"method": "ping"}}


def test_payloads_are_published_to_all_subscribers(agents):
    channel = "org/ns/events"
    publisher, others = agents("publisher"), [agents("first"), agents("second")]
    SLIMAdapter(publisher).subscribe(channel)
    for other in others:
        let_in(publisher, other, channel)

    SLIMAdapter(publisher).publish(channel, b"\x00payload")

    for other in others:
        SLIMAdapter(other).subscribe(channel)
        assert SLIMAdapter(other).receive(channel, timeout=SOON) == [b"\x00payload"]


def test_a_bridge_connects_agents_of_different_protocols(agents):
    left, right = "org/agents/a2a-in", "org/agents/mcp-out"
    asker, bridging, server = agents("asker"), agents("bridge"), agents("server")
    asker.create(left)
    server.create(right)
    let_in(asker, bridging, left)
    let_in(server, bridging, right)

    with ProtocolBridge(bridging, routed=True) as bridge:
        bridge.bridge(left, right, Protocol.A2A, Protocol.MCP)
        bridge.bridge(right, left, Protocol.MCP, Protocol.A2A)

        message = {"messageId": "m-1", "parts": [{"type": "text", "text": "2+2"}]}
        asker.send_envelope(left, Envelope(Protocol.A2A, "application/json", json.dumps(message).encode()))
        call = json.loads(next_envelope(server, right).payload)
        result = {"jsonrpc": "2.0", "id": call["id"], "result": {"content": [{"type": "text", "text": "4"}]}}
        server.send_envelope(right, Envelope(Protocol.MCP, "application/json", json.dumps(result).encode()))
        answer = json.loads(next_envelope(asker, left).payload)

    assert (call["method"], call["id"], call["params"]["name"]) == ("tools/call", "m-1", "a2a_message")
    assert call["params"]["arguments"]["parts"] == message["parts"]
    assert (answer["parts"], answer["metadata"]) == ([{"type": "text", "text": "4"}], {"mcp_reply_to": "m-1"})


def test_a_message_too_large_for_the_target_is_reported_and_the_next_one_goes_through(agents):
    left, right = "org/agents/left", "org/agents/right"
    sender, bridging, receiver = agents("sender"), agents("bridge"), agents("receiver")
    sender.create(left)
    receiver.create(right)
    let_in(sender, bridging, left)
    let_in(receiver, bridging, right)
    failures = []

    with ProtocolBridge(
        bridging, on_failure=lambda envelope, error: failures.append((len(envelope.payload), str(error)))
    ) as bridge:
        bridge.bridge(left, right, Protocol.SLIM, Protocol.MCP)
        # As base64 it has a third more.
        SLIMAdapter(sender).publish(left, b"\xff" * 200_000)
        SLIMAdapter(sender).publish(left, b"small")
        arrived = json.loads(next_envelope(receiver, right).payload)

    assert arrived["params"] == {"data": "c21hbGw="}
    ((length, reason),) = failures
    assert length == 200_000 and reason.startswith("message too large: ")


def test_models_talk_through_tools(agents):
    channel = "org/ns/tools"
    alice, bob = agents("alice"), agents("bob")
    alice.create(channel)
    let_in(alice, bob, channel)
    send, _, _ = tools(alice)
    _, receive, channels = tools(bob)

    assert send.invoke({"channel": channel, "message": "Hello"}) == f"Message sent to {channel}"
    assert receive.invoke({"channel": channel, "timeout": SOON}) == f"[{channel}] Hello"
    assert channels.invoke({}) == channel
