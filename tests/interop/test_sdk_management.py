"""The published Python client, unmodified, managing our daemon: peers, rules, approvals, configuration, logs, life."""

import asyncio

import pytest
import toq

from daemon import rules, until


def test_health_status_and_card_describe_the_daemon(client, ours):
    status, card = client.status(), client.card()

    assert client.health() == "ok"
    assert status["status"] == "running"
    assert status["address"] == ours.address
    assert status["connection_mode"] == "open"
    assert status["public_key"].startswith("ed25519:")
    assert card["name"] == "alice"
    assert card["public_key"] == status["public_key"]
    assert card["protocol_version"] == "0.1"
    assert {"active_connections", "messages_in", "messages_out", "error_count", "version"} <= status.keys()


def test_ping_shows_name_and_key_of_the_published_peer(client, peer):
    answer = client.ping(peer.address)

    assert (answer["reachable"], answer["agent_name"], answer["public_key"]) == (True, "bob", peer.key)


def test_peers_list_the_published_agent_that_connected(client, ours, peer):
    peer.send(ours.address, "hello")

    peers = client.peers()

    assert [(entry["public_key"], entry["address"]) for entry in peers] == [(peer.key, peer.address)]
    assert peers[0]["status"] in ("connected", "seen")
    assert peers[0]["last_seen"]


def test_connections_list_the_published_agent_while_its_stream_is_open(client, ours, peer):
    stream = peer.post("/v1/stream/start", {"to": ours.address})
    peer.post("/v1/stream/chunk", {"stream_id": stream["stream_id"], "text": "x"})

    connections = client.connections()

    assert [entry["peer_public_key"] for entry in connections] == [peer.key]
    assert connections[0]["session_id"] and connections[0]["connected_at"]


def test_approvals_are_listed_approved_denied_and_revoked(house, peer):
    ours = house("ours", "alice", mode="approval")
    with toq.connect(ours.url) as client:
        peer.send(ours.address, "may I?", expect=502)
        client.deny(client.approvals()[0]["id"])
        assert client.approvals() == []

        peer.send(ours.address, "please?", expect=502)
        client.approve(client.approvals()[0]["id"])
        peer.send(ours.address, "thank you")
        assert rules(client.permissions()["approved"]) == [("key", peer.key)]

        client.revoke(peer.key)
        assert client.permissions()["approved"] == []
        peer.send(ours.address, "again?", expect=502)
        client.approve(key=peer.key)
        peer.send(ours.address, "thanks again")
        client.revoke(key=peer.key)
        assert client.permissions() == {"approved": [], "blocked": []}


@pytest.mark.parametrize("rule", ["key", "address"])
def test_block_refuses_the_published_peer_and_unblock_admits_it(client, ours, peer, rule):
    target = {"key": peer.key} if rule == "key" else {"from_addr": "toq://127.0.0.1/*"}

    client.block(**target)
    blocked = client.permissions()["blocked"]
    peer.send(ours.address, "blocked", expect=502)
    client.unblock(**target)
    peer.send(ours.address, "welcome back")

    assert [entry["type"] for entry in blocked] == [rule]
    assert client.permissions()["blocked"] == []
    assert [entry["body"]["text"] for entry in client.history()] == ["welcome back"]


def test_config_is_read_and_updated(client):
    before = client.config()

    after = client.update_config(log_level="debug")

    assert before["agent_name"] == "alice"
    assert before["connection_mode"] == "open"
    assert after["log_level"] == "debug"
    assert client.config() == {**before, "log_level": "debug"}


def test_logs_are_listed_as_entries_and_can_be_cleared(client):
    entries = client.logs()

    assert all({"timestamp", "level", "message"} <= entry.keys() for entry in entries)
    client.clear_logs()
    assert isinstance(client.logs(), list)


def test_diagnostics_report_no_failure_in_a_healthy_workspace(client):
    report = client.diagnostics()

    checks = {check["name"]: check["status"] for check in report["checks"]}
    assert {"config", "identity_key", "tls_cert", "port", "disk"} <= checks.keys()
    assert set(checks.values()) == {"ok"}
    assert report["issues"] == 0


def test_handlers_and_local_discovery_answer_empty_lists(client):
    assert client.handlers() == []
    assert client.discover_local() == []


def test_the_async_client_calls_the_same_endpoints(ours, peer):
    async def calls():
        async with toq.connect_async(ours.url) as client:
            sent = await client.send(peer.address, "hello")
            assert sent["status"] == "delivered"
            assert await client.health() == "ok"
            assert (await client.status())["status"] == "running"
            assert (await client.ping(peer.address))["reachable"] is True
            stream = await client.stream_start(peer.address)
            await client.stream_chunk(stream["stream_id"], "chunk")
            await client.stream_end(stream["stream_id"])
            assert await client.approvals() == []
            assert await client.connections() == []
            assert (await client.get_thread(sent["thread_id"]))["thread_id"] == sent["thread_id"]

    asyncio.run(calls())


def test_shutdown_ends_the_process_and_removes_its_traces(client, ours):
    state = ours.workspace / ".toq" / "state.json"
    assert state.exists()

    client.shutdown()

    until(lambda: ours.process.poll() is not None, what="the process to end")
    assert ours.process.returncode == 0
    assert not state.exists()
