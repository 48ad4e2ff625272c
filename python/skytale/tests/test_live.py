"""Against `toq relay up`: the documented example, restarts of either side, kills, and directories that are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relay import run
from skytale_sdk import MlsError, SkytaleChannelManager, SkytaleClient, SkytaleError

HERE = Path(__file__).resolve().parent
NAME = "acme/team/general"
SOON = 30.0

EXAMPLE = """
from skytale_sdk import SkytaleChannelManager

# Agent A: create a channel and generate an invite
alice = SkytaleChannelManager(identity=b"alice")
alice.create("myorg/team/general")
token = alice.invite("myorg/team/general")

# Agent B: join with the invite token
bob = SkytaleChannelManager(identity=b"bob")
bob.join_with_token("myorg/team/general", token)

# Send and receive \u2014 end-to-end encrypted
alice.send("myorg/team/general", "Hello from Alice!")
alice.send("myorg/team/general", "Another message!")

msgs = bob.receive("myorg/team/general")
for msg in msgs:
    print(f"Bob received: {msg}")

# Clean up
alice.close()
bob.close()
"""


@pytest.fixture
def pair(client):
    alice, bob = client("alice"), client("bob")
    ours = alice.create_channel(NAME)
    return alice, ours, bob, bob.join_channel(NAME, ours.add_member(bob.generate_key_package()))


# The documents


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice on the same directories"])
def test_the_documented_example_runs_as_written(relay, tmp_path, times):
    for _ in range(times):
        done = run(EXAMPLE, relay, tmp_path)

        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["Bob received: Hello from Alice!", "Bob received: Another message!"]


def test_a_program_that_sends_and_ends_has_sent(relay, client, tmp_path):
    bob = client("bob")
    program = f"""
        from skytale_sdk import SkytaleClient
        alice = SkytaleClient("", {str(tmp_path / "alice")!r}, b"alice")
        channel = alice.create_channel({NAME!r})
        print(channel.add_member(bytes.fromhex("{bob.generate_key_package().hex()}")).hex())
        channel.send(b"and goodbye")
    """

    done = run(program, relay, tmp_path)

    assert done.returncode == 0, done.stderr
    assert bob.join_channel(NAME, bytes.fromhex(done.stdout)).next(SOON) == b"and goodbye"


# What lasts


def test_channels_and_messages_outlive_the_client(client):
    alice, bob = client("alice"), client("bob")
    ours = alice.create_channel(NAME)
    theirs = bob.join_channel(NAME, ours.add_member(bob.generate_key_package()))
    ours.send(b"while bob is here")
    assert theirs.next(SOON) == b"while bob is here"
    bob.close()
    ours.send(b"while bob is away")
    assert alice.flush(SOON)
    alice.close()

    bob, alice = client("bob"), client("alice")
    assert bob.channels() == alice.channels() == [NAME]
    theirs, ours = bob.open_channel(NAME), alice.open_channel(NAME)
    assert theirs.next(SOON) == b"while bob is away"
    theirs.send(b"back")

    assert ours.next(SOON) == b"back"


def test_a_manager_goes_on_with_the_channels_of_its_directory(relay, tmp_path):
    def agent(name):
        return SkytaleChannelManager(name, relay.endpoint, tmp_path / name, relay.key, relay.api_url)

    with agent("alice") as alice, agent("bob") as bob:
        alice.create(NAME)
        bob.join_with_token(NAME, alice.invite(NAME), timeout=SOON)
    with agent("alice") as alice, agent("bob") as bob:
        assert alice.list_channels() == bob.list_channels() == [NAME]
        alice.send(NAME, "still here")

        assert bob.receive(NAME, timeout=SOON) == ["still here"]


def test_what_is_sent_while_the_relay_is_away_arrives_when_it_is_back(relay, pair):
    alice, ours, _, theirs = pair
    ours.send(b"before")
    assert theirs.next(SOON) == b"before"

    relay.kill()
    ours.send(b"while it is away")
    assert not alice.flush(0.2)
    relay.up()

    assert theirs.next(SOON) == b"while it is away"
    theirs.send(b"heard")
    assert ours.next(SOON) == b"heard"


def test_a_client_that_is_opened_while_the_relay_is_away_sends_later_what_it_was_told(relay, client, pair):
    alice, _, _, theirs = pair
    alice.close()
    relay.kill()

    with client("alice", api_key=None, api_url=None) as alice:
        assert alice.channels() == [NAME]
        alice.open_channel(NAME).send(b"written without a relay")
        assert not alice.flush(0.2)
        alice.close(0)
    relay.up()
    client("alice")

    assert theirs.next(SOON) == b"written without a relay"


def test_what_was_accepted_by_a_killed_sender_arrives_once_and_in_order(relay, client, tmp_path):
    alice, bob = client("alice"), client("bob")
    ours = alice.create_channel(NAME)
    theirs = bob.join_channel(NAME, ours.add_member(bob.generate_key_package()))
    alice.close()
    accepted, heard, begin = [], [], 0

    for _ in range(4):
        with told("send", relay, tmp_path, "alice", str(begin), str(begin + 1000)) as sender:
            for _ in range(25):
                accepted.append(int(sender.stdout.readline()))
            sender.send_signal(signal.SIGKILL)
            # What was accepted without our having heard of it.
            accepted += [int(line) for line in sender.stdout.read().split()]
        begin = accepted[-1] + 2

    client("alice").flush(SOON)
    while not heard or heard[-1] < accepted[-1]:
        message = theirs.next(SOON)
        assert message is not None, f"{accepted[-1]} is missing after {heard[-3:]}"
        heard.append(int(message))
    # A send that was cut down by the kill may have been accepted or not; it is a number that was never printed.
    assert [number for number in heard if number in accepted] == accepted
    assert len(set(heard)) == len(heard)


def test_a_killed_receiver_misses_nothing(relay, pair, tmp_path):
    _, ours, bob, _ = pair
    bob.close()
    runs, sent = [], 0

    for _ in range(4):
        runs.append(heard := [])
        with told("hear", relay, tmp_path, "bob") as receiver:
            assert receiver.stdout.readline() == "open\n"
            for _ in range(20):
                ours.send(b"%d" % sent)
                sent += 1
            while not heard or heard[-1] < sent - 5:
                heard.append(int(receiver.stdout.readline()))
            receiver.send_signal(signal.SIGKILL)
            heard += [int(line) for line in receiver.stdout.read().split()]
    ours.send(b"%d" % sent)
    runs.append(heard := [])
    with told("hear", relay, tmp_path, "bob") as receiver:
        assert receiver.stdout.readline() == "open\n"
        while not heard or heard[-1] != sent:
            heard.append(int(receiver.stdout.readline()))
        receiver.send_signal(signal.SIGKILL)

    # What was being read when the process died is there again; none is missing, none is out of order.
    assert all(run == list(range(run[0], run[-1] + 1)) for run in runs)
    assert runs[0][0] == 0 and all(later[0] <= run[-1] + 1 for run, later in zip(runs, runs[1:]))


def told(role: str, relay, tmp_path: Path, name: str, *more: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **relay.environment}
    words = [sys.executable, str(HERE / "agent.py"), role, relay.endpoint, str(tmp_path / name), name, *more]
    return subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


# What is refused


def test_a_directory_has_one_client_at_a_time(client, tmp_path, relay):
    alice = client("alice")
    alice.create_channel(NAME)
    program = f"""
        from skytale_sdk import SkytaleClient
        SkytaleClient("", {str(tmp_path / "alice")!r}, b"alice")
    """

    done = run(program, relay, tmp_path)
    with pytest.raises(SkytaleError) as raised:
        client("alice")

    assert done.returncode == 1
    assert "MLS engine error: storage error: " in done.stderr and "is open in another process" in done.stderr
    assert "is open" in str(raised.value)
    assert alice.open_channel(NAME).epoch == 0
    alice.close()
    assert client("alice").channels() == [NAME]


def test_a_damaged_directory_is_refused_and_left_as_it_is(client, tmp_path):
    alice = client("alice")
    alice.create_channel(NAME)
    alice.close()
    [database] = (tmp_path / "alice").rglob("*.redb")
    whole = database.read_bytes()
    damaged = b"\x00" * 4096 + whole[4096:]
    database.write_bytes(damaged)

    with pytest.raises(MlsError) as raised:
        client("alice")

    assert str(raised.value).startswith("MLS engine error: storage error: ")
    assert database.read_bytes() == damaged
    database.write_bytes(whole)
    assert client("alice").channels() == [NAME]


def test_a_directory_that_cannot_be_written_is_a_storage_error(client, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(MlsError) as raised:
        client("alice", data_dir=None) if False else SkytaleClient("http://127.0.0.1:9", str(tmp_path / "file" / "x"), b"alice")

    assert str(raised.value).startswith("MLS engine error: storage error: ")


def test_state_is_for_its_owner_alone(client, tmp_path):
    os.umask(0o000)
    try:
        client("alice").create_channel(NAME)
    finally:
        os.umask(0o022)

    for path in [tmp_path / "alice", *(tmp_path / "alice").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_another_identity_does_not_get_the_directory_of_the_first(client, tmp_path, relay):
    client("alice").close()

    with pytest.raises(SkytaleError) as raised:
        SkytaleClient(relay.endpoint, str(tmp_path / "alice"), b"mallory", api_key=relay.key, api_url=relay.api_url)

    assert "alice" in str(raised.value)
