"""A workspace that the published daemon has made and used, started with ours."""

import json
import os
import subprocess

import pytest
import toq

from conftest import OURS, PUBLISHED
from daemon import Daemon, until

FILES = ("config.toml", "handlers.toml", "keys/identity.key", "messages.jsonl", "peers.json", "permissions.toml")


def move(daemon: Daemon) -> str:
    """Starts our binary in the workspace of the published daemon; returns what the start said."""
    daemon.restart(os.environ["TOQ_BIN"])
    return daemon.output()


@pytest.fixture
def alice(house) -> Daemon:
    """A published agent that met bob (approved), carol (blocked) and dave, who still waits."""
    alice = house(PUBLISHED, "alice")
    bob, carol = house(OURS, "bob"), house(PUBLISHED, "carol")
    first = bob.send(alice.address, "hello", thread_id="talk")
    carol.send(alice.address, "buy this")
    bob.send(alice.address, "odd: \u2028 \u0001 😀 1e400", reply_to=first["id"], thread_id="talk")
    bob.send(alice.address, "bye", thread_id="talk", close_thread=True)
    alice.post("/v1/approve", {"key": bob.key})
    alice.post("/v1/block", {"key": carol.key})
    alice.post("/v1/block", {"from": "toq://*.example/*"})
    ears = alice.workspace / "heard.txt"
    alice.post("/v1/handlers", {"name": "ear", "command": f"echo $TOQ_FROM >> {ears}"})
    alice.restart(mode="approval")
    dave = house(PUBLISHED, "dave")
    dave.send(alice.address, "may I?", expect=502)
    alice.friends = (bob, carol, dave)
    alice.before = {"key": alice.key, "history": alice.history(), "peers": alice.get("/v1/peers")["peers"]}
    alice.end()
    return alice


def test_identity_rules_peers_requests_and_history_are_taken_over(alice):
    bob, carol, dave = alice.friends
    originals = {name: (alice.workspace / ".toq" / name).read_bytes() for name in FILES}

    said = move(alice)

    with toq.connect(alice.url) as client:
        assert "rules: 3, pending approvals: 1, peers: 3, messages: 4" in said
        assert "left out" not in said
        assert client.status()["public_key"] == alice.before["key"]
        assert client.config()["connection_mode"] == "approval"
        rules = client.permissions()
        assert [(rule["type"], rule["value"]) for rule in rules["approved"]] == [("key", bob.key)]
        assert {rule["value"] for rule in rules["blocked"]} == {carol.key, "toq://*.example/*"}
        assert [(request["id"], request["address"]) for request in client.approvals()] == [(dave.key, dave.address)]
        assert {peer["public_key"]: peer["address"] for peer in client.peers()} == {
            friend.key: friend.address for friend in alice.friends
        }
        assert {peer["last_seen"] for peer in alice.before["peers"]} <= {peer["last_seen"] for peer in client.peers()}
        shape = ("id", "type", "from", "body", "thread_id", "reply_to", "content_type", "timestamp")
        was = [[entry.get(name) for name in shape] for entry in alice.before["history"]]
        assert [[entry.get(name) for name in shape] for entry in client.history()] == was
        assert all(not entry.get("verified") for entry in client.history())
        assert [entry["body"]["text"] for entry in client.get_thread("talk")["messages"]][0] == "hello"
        assert [handler["name"] for handler in client.handlers()] == ["ear"]
    assert {name: (alice.workspace / ".toq" / name).read_bytes() for name in FILES} == originals


def test_the_rules_hold_and_handlers_do_not_run_for_the_past(alice):
    bob, carol, dave = alice.friends
    heard = alice.workspace / "heard.txt"
    heard.unlink(missing_ok=True)

    move(alice)
    carol.send(alice.address, "let me in", expect=502)
    dave.send(alice.address, "and me?", expect=502)
    bob.send(alice.address, "I may")

    until(heard.exists, what="the handler to run")
    assert heard.read_text() == f"{bob.address}\n"
    assert alice.history()[-1]["body"]["text"] == "I may"
    # Nobody was pinned, so the key that answers at bob's address is met as for the first time, and then is pinned.
    alice.send(bob.address, "welcome")


def test_it_happens_once_and_nothing_comes_back(alice):
    bob, carol, dave = alice.friends
    move(alice)
    with toq.connect(alice.url) as client:
        client.unblock(key=carol.key)
        client.deny(dave.key)

    alice.restart()

    with toq.connect(alice.url) as client:
        assert alice.output().count("Taken over") == 1
        assert [rule["value"] for rule in client.permissions()["blocked"]] == ["toq://*.example/*"]
        assert client.approvals() == []
        assert len(client.history()) == 4


def test_what_cannot_be_read_is_named_with_its_line_and_the_rest_arrives(alice):
    messages, peers = (alice.workspace / ".toq" / name for name in ("messages.jsonl", "peers.json"))
    lines = messages.read_text().split("\n")
    messages.write_text("\n".join([lines[0], "{broken", *lines[1:4], lines[0].replace("message.send", "message.new"), lines[1][:40]]))
    known = json.loads(peers.read_text())
    known["peers"]["nobody"] = {"address": "x"}
    peers.write_text(json.dumps(known, indent=2))

    said = move(alice)

    assert "rules: 3, pending approvals: 1, peers: 3, messages: 4" in said
    assert f"left out: {messages}:2: not a message" in said
    assert f"left out: {messages}:6: its `type` is not one that is kept" in said
    assert f"left out: {messages}:7: not a message" in said
    assert f"{peers}:" in said and "the peer's name is no key" in said


def test_a_rule_that_cannot_be_understood_keeps_the_door_shut_until_it_is_mended(alice):
    permissions = alice.workspace / ".toq" / "permissions.toml"
    whole = permissions.read_text()
    permissions.write_text(whole.replace('type = "key"', 'type = "kye"', 1))
    line = 1 + permissions.read_text()[: permissions.read_text().index("kye")].count("\n")

    start = subprocess.run([os.environ["TOQ_BIN"], "up"], cwd=alice.workspace, env=alice.env, capture_output=True, text=True, timeout=30)

    assert start.returncode == 78
    assert f"{permissions}:{line - 1}:1: an entry of `" in start.stderr
    assert not (alice.workspace / ".toq" / "state.redb").exists()
    permissions.write_text(whole)
    assert "rules: 3" in move(alice)
