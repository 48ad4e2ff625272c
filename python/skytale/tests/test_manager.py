"""The channel manager, between mock agents."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from types import SimpleNamespace

import pytest

from skytale_sdk import (
    ChannelError,
    Envelope,
    Protocol,
    SkytaleChannelManager,
    SkytaleClient,
    SkytaleError,
    UnknownChannelError,
    aio,
)
from skytale_sdk.channels import SkytaleChannelManager as FromChannels

NAME = "myorg/team/general"
SOON = 20.0


@pytest.fixture
def agents(group):
    """`agents("alice")` starts a mock agent."""
    running = []

    def start(identity, **more):
        running.append(SkytaleChannelManager(identity, mock=True, mock_group=group, **more))
        return running[-1]

    yield start
    for agent in running:
        agent.close()


@pytest.fixture
def pair(agents):
    alice, bob = agents(b"alice"), agents("bob")
    alice.create(NAME)
    bob.join(NAME, alice.add_member(NAME, bob.key_package()))
    return alice, bob


def drained(agent, count, name=NAME):
    """The next messages of a channel, however many calls it takes."""
    taken = []
    while len(taken) < count:
        more = agent.receive(name, timeout=SOON)
        assert more, f"only {taken} came"
        taken += more
    return taken


def test_text_and_bytes_arrive_as_text_in_order(pair):
    alice, bob = pair

    alice.send(NAME, "one")
    alice.send(NAME, b"two")
    alice.send(NAME, "drei \u00fc")
    alice.send(NAME, b"\xff")

    taken = drained(bob, 4)
    assert taken == ["one", "two", "drei \u00fc", "\ufffd"]
    assert {type(text) for text in taken} == {str}


def test_nothing_is_an_empty_list_and_no_latest_one(pair):
    _, bob = pair

    assert bob.receive(NAME, timeout=0) == []
    assert bob.receive(NAME, timeout=0.1) == []
    assert bob.receive_latest(NAME, timeout=0) is None


def test_the_latest_discards_the_older_ones(pair):
    alice, bob = pair
    for number in range(5):
        alice.send(NAME, str(number))
    alice.flush(SOON)

    latest = None
    while latest != "4":
        latest = bob.receive_latest(NAME, timeout=SOON) or latest

    assert bob.receive(NAME, timeout=0) == []


def test_who_comes_back_waits_for_what_is_new(agents, tmp_path):
    alice, bob = agents("alice"), agents("bob", data_dir=tmp_path / "bob")
    alice.create(NAME)
    bob.join(NAME, alice.add_member(NAME, bob.key_package()))
    alice.send(NAME, "before")
    assert bob.receive(NAME, timeout=SOON) == ["before"]
    bob.close()
    bob = agents("bob", data_dir=tmp_path / "bob")
    taken = []

    waiting = threading.Thread(target=lambda: taken.append(bob.receive(NAME, timeout=SOON)))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive(), f"it did not wait: {taken}"
    alice.send(NAME, "after")
    waiting.join(SOON)

    assert taken == [["after"]]


def test_messages_know_their_sender(pair):
    alice, bob = pair
    alice.send(NAME, "hello")

    message = bob.receive_messages(NAME, timeout=SOON)[0]

    assert (message.sender, message.channel, message.text) == (b"alice", NAME, "hello")


def test_an_unknown_channel_is_a_key_error(pair):
    alice, _ = pair
    for call in (
        lambda: alice.send("a/b/c", "x"),
        lambda: alice.receive("a/b/c", 0),
        lambda: alice.receive_envelopes("a/b/c", 0),
        lambda: alice.add_member("a/b/c", b""),
        lambda: alice.invite("a/b/c"),
    ):
        with pytest.raises(KeyError) as raised:
            call()
        assert isinstance(raised.value, UnknownChannelError)
        assert str(raised.value) == "this agent is not in the channel a/b/c; create or join it first, see list_channels()"


def test_channels_are_listed_by_name(agents):
    alice = agents("alice")
    for name in ("b/b/b", "a/a/a", "c/c/c"):
        alice.create(name)

    assert alice.list_channels() == ["a/a/a", "b/b/b", "c/c/c"]
    alice.close()
    assert alice.list_channels() == []
    alice.close()


def test_envelopes_arrive_as_they_were_and_other_messages_are_raw(pair):
    alice, bob = pair
    envelope = Envelope(Protocol.A2A, "application/json", b'{"hello":1}', {"k": "v"})

    alice.send_envelope(NAME, envelope)
    alice.send(NAME, "just text")

    taken = []
    while len(taken) < 2:
        taken += bob.receive_envelopes(NAME, timeout=SOON)
    assert taken == [envelope, Envelope(Protocol.RAW, "application/octet-stream", b"just text")]


def test_invites_admit_as_often_as_they_say(agents):
    alice = agents("alice")
    alice.create(NAME)
    token = alice.invite(NAME, max_uses=2)
    assert token.startswith("skt_inv_")

    for name in ("bob", "carol"):
        agents(name).join_with_token(NAME, token, timeout=SOON)
    with pytest.raises(ChannelError):
        agents("dave").join_with_token(NAME, token, timeout=SOON)

    assert sorted(member.identity for member in alice.members(NAME)) == [b"alice", b"bob", b"carol"]


def test_an_invite_that_does_not_fit_is_refused_and_loses_no_use(agents, monkeypatch):
    alice, bob = agents("alice"), agents("bob")
    alice.create(NAME)
    token, short = alice.invite(NAME), alice.invite(NAME, ttl=1)
    end = time.monotonic() + 1.0
    later = SimpleNamespace(monotonic=lambda: end)
    monkeypatch.setattr("skytale_sdk._mock.time", later)

    for name, wrong in ((NAME, "skt_inv_unknown"), ("myorg/team/other", token), (NAME, short)):
        with pytest.raises(ChannelError):
            bob.join_with_token(name, wrong, timeout=SOON)

    bob.join_with_token(NAME, token, timeout=SOON)
    assert bob.list_channels() == [NAME]


@pytest.mark.parametrize("terms", [{"max_uses": 0}, {"ttl": 0}])
def test_an_invite_for_nobody_is_not_made(agents, terms):
    alice = agents("alice")
    alice.create(NAME)

    with pytest.raises(ChannelError, match=r"^API error \(400\): "):
        alice.invite(NAME, **terms)


def test_clients_and_awaited_agents_invite_each_other_too(agents, group):
    alice = agents("alice")
    alice.create(NAME)

    async def scenario():
        async with aio.SkytaleChannelManager("bob", mock=True, mock_group=group) as bob:
            await bob.join_with_token(NAME, alice.invite(NAME))
            with SkytaleClient(identity=b"carol", mock=True, mock_group=group) as carol:
                carol.join_with_token(NAME, await bob.invite(NAME))
                async with aio.SkytaleClient(identity=b"dave", mock=True, mock_group=group) as dave:
                    channel = await dave.join_with_token(NAME, carol.invite(NAME))
                    return [member.identity for member in await channel.members()]

    assert asyncio.run(scenario()) == [b"alice", b"bob", b"carol", b"dave"]


def test_callbacks_are_given_messages_and_events(agents):
    messages, joined = [], threading.Event()
    heard = threading.Event()

    def on_message(message):
        messages.append((message.sender, bytes(message)))
        heard.set()
        raise ValueError("a failing callback does not end the listening")

    alice = agents("alice", on_event=lambda event: joined.set() if event.kind == "member_added" else None)
    bob = agents("bob", on_message=on_message)
    alice.create(NAME)
    bob.join(NAME, alice.add_member(NAME, bob.key_package()))

    alice.send(NAME, "first")
    assert heard.wait(SOON) and joined.wait(SOON)
    heard.clear()
    alice.send(NAME, "second")
    assert heard.wait(SOON)

    assert messages == [(b"alice", b"first"), (b"alice", b"second")]


def test_who_leaves_has_no_such_channel_any_more(pair):
    _, bob = pair

    bob.leave(NAME)

    assert bob.list_channels() == []
    with pytest.raises(KeyError):
        bob.send(NAME, "x")


def test_threads_that_receive_share_the_messages(pair):
    alice, bob = pair
    taken, lock = [], threading.Lock()
    done = threading.Event()

    def receive():
        while not done.is_set():
            some = bob.receive(NAME, timeout=0.1)
            with lock:
                taken.extend(some)
                if len(taken) >= 100:
                    done.set()

    threads = [threading.Thread(target=receive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        alice.send(NAME, str(number))
    assert done.wait(SOON)
    for thread in threads:
        thread.join(SOON)

    assert sorted(taken, key=int) == [str(number) for number in range(100)]


def test_the_environment_makes_mock_agents_that_run_the_documented_example(monkeypatch):
    monkeypatch.setenv("SKYTALE_MOCK", "1")
    with FromChannels(identity=b"alice") as alice, FromChannels(identity=b"bob") as bob:
        alice.create(NAME)
        bob.join_with_token(NAME, alice.invite(NAME))
        alice.send(NAME, "Hello from Alice!")
        alice.send(NAME, "Another message!")

        assert drained(bob, 2) == ["Hello from Alice!", "Another message!"]


def test_who_is_removed_receives_what_came_before_and_is_told_then_why_nothing_more_comes(pair):
    alice, bob = pair
    alice.send(NAME, "before")
    alice.remove_member(NAME, b"bob")

    assert bob.receive(NAME, timeout=SOON) == ["before"]
    with pytest.raises(SkytaleError, match=f"^channel listener for '{NAME}' died: this member was removed from {NAME}; ask"):
        bob.receive(NAME, timeout=SOON)


def test_a_listener_goes_on_after_an_error_and_tells_it_once(agents, caplog):
    alice, heard = agents(b"alice"), queue.Queue()
    bob = agents("bob", on_message=heard.put)
    hand_over, errors = bob._hand_over, iter([SkytaleError("on purpose"), SkytaleError("on purpose")])

    def fails_twice(channel):
        for error in errors:
            raise error
        hand_over(channel)

    bob._hand_over = fails_twice
    alice.create(NAME)
    bob.join(NAME, alice.add_member(NAME, bob.key_package()))
    alice.send(NAME, "still there?")

    assert heard.get(timeout=SOON) == b"still there?"
    assert [record.getMessage() for record in caplog.records if "died" in record.getMessage()] == [
        f"channel listener for '{NAME}' died: on purpose"
    ]


def test_a_closed_manager_says_that_it_is_closed(agents):
    alice = agents("alice")
    alice.create(NAME)
    alice.close()

    with pytest.raises(KeyError) as raised:
        alice.send(NAME, "x")

    assert str(raised.value) == f"there is no channel {NAME}: the manager was closed; open a new one"
