"""The examples of the product brief against real daemons; `TOQ_BIN` names the binary.

The program under test runs in alice's workspace and finds her daemon by itself. Its variable names are those of
the brief, with bob's real address for `toq://example.com/bob`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, running
from names import name_server

import toq

pytestmark = pytest.mark.skipif("TOQ_BIN" not in os.environ, reason="TOQ_BIN is not set")

PATIENCE = 60
"""Seconds a test may take: a message that never comes must fail the test, not hang the run."""


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    def give_up(*_: object) -> None:
        pytest.fail(f"still waiting after {PATIENCE} s")  # a TimeoutError would look like one of the socket

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def two_agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agent, Agent]]:
    root = tmp_path_factory.mktemp("live")
    with running(root, "alice") as alice, running(root, "bob") as bob:
        yield alice, bob


@pytest.fixture
def client(two_agents: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch) -> Iterator[toq.Client]:
    monkeypatch.delenv("TOQ_URL", raising=False)
    monkeypatch.chdir(two_agents[0].workspace)
    with toq.connect() as client:
        yield client


@pytest.fixture
def bob(two_agents: tuple[Agent, Agent]) -> Agent:
    return two_agents[1]


def test_a_conversation(client: toq.Client, bob: Agent) -> None:
    with bob.connect() as other, other.messages() as inbox:
        resp = client.send(bob.address, "What's the weather?")
        tid = resp["thread_id"]
        client.send(bob.address, "Thanks!", thread_id=resp["thread_id"])
        client.send(bob.address, "Goodbye", thread_id=tid, close_thread=True)
        got = list(islice(inbox, 3))

    assert resp["status"] == "delivered"
    assert [msg.text for msg in got] == ["What's the weather?", "Thanks!", "Goodbye"]
    assert [msg.type for msg in got] == ["message.send", "message.send", "thread.close"]
    assert {msg.thread_id for msg in got} == {tid}
    assert got[0].id == resp["id"]
    assert [entry["body"]["text"] for entry in client.get_thread(tid)["messages"]] == [msg.text for msg in got]


def test_fire_and_forget(client: toq.Client, bob: Agent) -> None:
    with bob.connect() as other, other.messages() as inbox:
        resp = client.send(bob.address, "just letting you know", wait=False)

        assert resp["status"] == "queued"
        assert next(inbox).id == resp["id"]


def test_several_recipients_and_an_answer_each(client: toq.Client, bob: Agent) -> None:
    resp = client.send([bob.address], "to all of you")

    assert [result["to"] for result in resp["results"]] == [bob.address]


def test_a_repeated_key_makes_no_second_message(client: toq.Client, bob: Agent) -> None:
    first = client.send(bob.address, "once", idempotency_key="live-once")
    again = client.send(bob.address, "once", idempotency_key="live-once")

    assert first["id"] == again["id"]
    with pytest.raises(toq.IdempotencyConflict):
        client.send(bob.address, "twice", idempotency_key="live-once")


def test_the_listening_loop_replies_to_every_message(two_agents: tuple[Agent, Agent]) -> None:
    alice, bob = two_agents
    seen: list[str] = []

    async def listen(inbox: Any) -> None:
        async for msg in inbox:
            seen.append(f"{msg.sender}: {msg.body['text']}")
            await msg.reply("Got it!")
            if len(seen) == 3:
                return

    async def talk() -> tuple[list[Any], list[Any]]:
        async with alice.connect_async() as client, bob.connect_async() as other:
            async with client.messages() as inbox, other.messages() as answers:
                listening = asyncio.create_task(listen(inbox))
                sent = [await other.send(alice.address, f"question {n}") for n in range(3)]
                await listening
                return sent, [await answers.__anext__() for _ in sent]

    sent, answers = asyncio.run(talk())

    assert seen == [f"{bob.address}: question {n}" for n in range(3)]
    assert [answer.text for answer in answers] == ["Got it!"] * 3
    assert [answer.reply_to for answer in answers] == [resp["id"] for resp in sent]
    assert [answer.thread_id for answer in answers] == [resp["thread_id"] for resp in sent]


def test_send_and_wait_for_the_reply(two_agents: tuple[Agent, Agent]) -> None:
    alice, bob = two_agents

    async def talk() -> Any:
        async with alice.connect_async() as client, bob.connect_async() as other, other.messages() as inbox:
            asking = asyncio.create_task(client.send(bob.address, "2 + 2?", wait="reply", timeout=30))
            await (await inbox.__anext__()).reply("4")
            return await asking

    assert asyncio.run(talk())["reply"]["body"]["text"] == "4"


def test_the_sender_pattern_filters_the_stream(client: toq.Client, bob: Agent, tmp_path: Path) -> None:
    with running(tmp_path, "frank") as frank, frank.connect() as third, bob.connect() as other:
        everyone, only_frank = "toq://localhost/*", "toq://*/frank"
        with other.messages(from_addr=everyone) as local, other.messages(from_addr=only_frank) as franks:
            client.send(bob.address, "from alice")
            third.send(bob.address, "from frank")

            assert [msg.text for msg in islice(local, 2)] == ["from alice", "from frank"]
            assert next(franks).text == "from frank"


def test_streaming_by_steps_and_as_a_block(client: toq.Client, bob: Agent) -> None:
    with bob.connect() as other, other.messages() as inbox:
        stream = client.stream_start(bob.address)
        client.stream_chunk(stream["stream_id"], "Here is ")
        first = next(inbox)
        client.stream_chunk(stream["stream_id"], "a streamed ")
        client.stream_chunk(stream["stream_id"], "message.")
        client.stream_end(stream["stream_id"])
        rest = list(islice(inbox, 3))
        with client.stream(bob.address) as block:
            block.write("in a block")
        chunk, end = islice(inbox, 2)

    assert (first.type, first.text) == ("message.stream.chunk", "Here is ")
    assert [msg.text for msg in rest[:2]] == ["a streamed ", "message."]
    assert (rest[2].type, rest[2].text) == ("message.stream.end", "Here is a streamed message.")
    assert (chunk.text, end.text) == ("in a block", "in a block")
    assert chunk.thread_id == block.thread_id


def test_a_consumer_confirms_and_is_not_offered_again(client: toq.Client, bob: Agent) -> None:
    with bob.connect() as other:
        with other.messages(consumer="live") as inbox:
            client.send(bob.address, "one")
            client.send(bob.address, "two")
            one, two = islice(inbox, 2)
            one.confirm()

        again = next(other.messages(consumer="live"))
        assert (again.id, again.redelivered, again.attempt) == (two.id, True, 2)
        again.confirm()
        assert other.consumer("live")["pending"] in (0, [])
        assert "live" in [consumer["name"] for consumer in other.consumers()]
        other.remove_consumer("live")


def test_an_unreachable_peer(client: toq.Client) -> None:
    with pytest.raises(toq.NotReachable) as caught:
        client.send("toq://localhost:1/nobody", "hello?", timeout=5)
    assert caught.value.message_id
    with pytest.raises(toq.InvalidAddress):
        client.send("not an address", "hello?")

    assert client.message(caught.value.message_id)["state"] == "withdrawn"


def test_peers(client: toq.Client, bob: Agent) -> None:
    with bob.connect() as other:
        other.send(client.status()["address"], "hi")

    for peer in client.peers():
        print(peer["address"], peer["status"])
    assert bob.address in [peer["address"] for peer in client.peers()]


def test_an_approval(client: toq.Client, tmp_path: Path) -> None:
    with running(tmp_path, "carol", mode="approval") as carol, carol.connect() as other, other.events() as events:
        with pytest.raises(toq.NotReachable):
            client.send(carol.address, "may I?", timeout=5)
        assert next(events)["type"] == "approval.requested"

        for req in other.approvals():
            other.approve(req["id"])

        assert other.approvals() == []
        assert client.send(carol.address, "now I may")["status"] == "delivered"
        assert [rule["type"] for rule in other.permissions()["approved"]] == ["key"]


def test_blocking_by_key_and_by_pattern(client: toq.Client, bob: Agent) -> None:
    me = client.status()
    with bob.connect() as other:
        for rule in ({"key": me["public_key"]}, {"from_addr": "toq://localhost/*"}):
            other.block(**rule)
            with pytest.raises(toq.ApiError):
                client.send(bob.address, "anyone there?", timeout=5)
            other.unblock(**rule)
            assert client.send(bob.address, "hello again")["status"] == "delivered"
        assert other.permissions()["blocked"] == []


def test_other_operations(client: toq.Client, bob: Agent) -> None:
    assert client.health() == "ok"
    assert client.status()["status"] == "running"
    assert client.ping(bob.address)["reachable"] is True
    assert client.config()["agent_name"] == "alice"
    assert client.update_config(log_level="debug")["log_level"] == "debug"
    assert client.card()["name"] == "alice"
    assert client.tree()["children"]
    assert client.discover_local() == []
    assert client.handlers() == []
    assert isinstance(client.connections(), list)
    assert isinstance(client.diagnostics()["checks"], list)
    assert isinstance(client.logs(), list)


SCRIPT = """
import os, toq
with toq.connect() as client:
    client.send(os.environ["TOQ_FROM"], "you said " + os.environ["TOQ_TEXT"], thread_id=os.environ["TOQ_THREAD_ID"])
    try:
        client.handlers()
    except toq.ToqError as error:
        print(error)
    else:
        raise SystemExit("a run may list handlers")
"""


def test_a_handler_answers_with_this_package(client: toq.Client, bob: Agent, tmp_path: Path) -> None:
    script = tmp_path / "handler.py"
    script.write_text(SCRIPT)
    with bob.connect() as other:
        added = other.add_handler("py", f"{sys.executable} {script}", filter_type=["message.send"])
        assert added == {"name": "py", "status": "added"}

        answer = client.send(bob.address, "hi", wait="reply", timeout=30)["reply"]

        assert answer["body"]["text"] == "you said hi"
        [listed] = other.handlers()
        assert (listed["name"], listed["enabled"], listed["filter_type"]) == ("py", True, ["message.send"])
        assert other.update_handler("py", enabled=False) == {"name": "py", "status": "updated"}
        assert other.stop_handler("py") == {"name": "py", "stopped": 0}
        removed = other.remove_handler("py")
        # A run that has answered may not have ended yet; what it leaves is told besides.
        assert (removed["name"], removed["status"]) == ("py", "removed")
        assert other.handlers() == []


def test_history_and_threads(client: toq.Client, bob: Agent) -> None:
    sent = [client.send(bob.address, f"remember {n}") for n in range(3)]

    with bob.connect() as other:
        newest = other.history(limit=10)
        pages = list(islice(other.history_pages(limit=2), 2))
        threads = {thread["thread_id"] for thread in other.threads()}

    assert [entry["id"] for entry in newest[-3:]] == [resp["id"] for resp in sent]
    assert [entry["id"] for entry in pages[0]] == [resp["id"] for resp in sent[1:]]
    assert pages[1][-1]["id"] == sent[0]["id"]
    assert {resp["thread_id"] for resp in sent} <= threads
    assert sent[-1]["id"] in [entry["id"] for entry in client.history(limit=10, outgoing=True)]


def test_agents_of_a_domain_are_discovered(tmp_path: Path) -> None:
    with running(tmp_path, "frank") as frank:
        with frank.connect() as client:
            key = client.status()["public_key"].removeprefix("ed25519:")
        records = {"_toq._tcp.frank.test": f"v=toq1; key={key}; port=9010; agent=frank"}
        with name_server(records) as address:
            frank.toq("config", "set", "dns.resolvers", address)
            frank.toq("down")
            frank.toq("up")

            with frank.connect() as client:
                assert client.discover("frank.test") == [{"address": "toq://frank.test/frank", "public_key": key}]
                assert client.discover("nobody.test") == []

            async def ask() -> list[dict[str, Any]]:
                async with frank.connect_async() as client:
                    return await client.discover("frank.test")

            assert asyncio.run(ask())[0]["public_key"] == key


def test_a_daemon_that_asks_for_a_token_is_shown_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, "alice") as agent:
        agent.toq("config", "set", "api.access", "token")
        agent.toq("down")
        agent.toq("up")
        monkeypatch.chdir(agent.workspace)
        token = (agent.workspace / ".toq" / "keys" / "api.token").read_text()

        with toq.connect() as found, toq.connect(agent.url, token=token) as given, agent.connect() as nothing:
            assert found.status()["status"] == given.status()["status"] == "running"
            with pytest.raises(toq.ToqError, match="bearer token"):
                nothing.status()


def test_what_comes_later_says_so(tmp_path: Path) -> None:
    with running(tmp_path, "erin") as erin, erin.connect() as client:
        later = [
            lambda: client.add_handler("logger", "echo $TOQ_TEXT >> log.txt"),
        ]
        for attempt in later:
            try:
                attempt()
            except toq.NotImplementedYet as error:
                assert error.hint
            except toq.ApiError as error:
                assert error.code.startswith("invalid_")  # offered by now, and judged the arguments


def test_a_backup_is_taken_out_and_put_back_and_a_key_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path, "erin") as erin, erin.connect() as client:
        before = client.status()["public_key"]
        data = client.export_backup("passphrase")
        with pytest.raises(toq.InvalidPassphrase):
            client.import_backup("another", data)

        rotated = client.rotate_keys()
        assert (rotated["old_public_key"], rotated["new_public_key"]) == (before, client.status()["public_key"])
        assert rotated["rotation_proof"].startswith("ed25519:")

        assert client.import_backup("passphrase", data) is None
        erin.toq("down")
        erin.toq("up")
        with erin.connect() as again:
            assert again.status()["public_key"] == before


def test_a_listener_survives_a_restart_of_its_daemon(client: toq.Client, tmp_path: Path) -> None:
    with running(tmp_path, "dave") as dave, pytest.MonkeyPatch.context() as patch:
        patch.chdir(dave.workspace)
        with toq.connect() as other, other.messages() as inbox:
            client.send(dave.address, "before")
            assert next(inbox).text == "before"
            dave.toq("down")
            dave.toq("up")
            client.send(dave.address, "after")

            assert next(inbox).text == "after"
