"""Client, channel and iterator, between mock clients: the groups and their keys are real, the network is not."""

from __future__ import annotations

import threading

import pytest

from skytale_sdk import ChannelError, Message, MlsError, SkytaleClient, SkytaleError

NAME = "acme/team/general"
SOON = 20.0


def client(group: str, name: bytes) -> SkytaleClient:
    return SkytaleClient(identity=name, mock=True, mock_group=group)


@pytest.fixture
def alice(group):
    with client(group, b"alice") as alice:
        yield alice


@pytest.fixture
def bob(group):
    with client(group, b"bob") as bob:
        yield bob


@pytest.fixture
def pair(alice, bob):
    """A channel and both its ends."""
    ours = alice.create_channel(NAME)
    return ours, bob.join_channel(NAME, ours.add_member(bob.generate_key_package()))


def test_two_members_talk_both_ways(pair):
    ours, theirs = pair

    ours.send(b"to bob")
    theirs.send(b"to alice")

    assert next(theirs.messages()) == b"to bob"
    assert next(ours.messages()) == b"to alice"


def test_a_message_is_bytes_and_says_who_sent_it_and_when(pair):
    ours, theirs = pair
    ours.send(b"hello")

    message = next(theirs.messages())

    assert isinstance(message, Message) and isinstance(message, bytes)
    assert type(bytes(message)) is bytes and bytes(message) == b"hello"
    assert (message.sender, message.channel, message.epoch) == (b"alice", NAME, ours.epoch)
    assert message.text == "hello"


def test_the_documented_loop_runs_while_another_thread_sends(pair):
    ours, theirs = pair
    received = []

    def listen():
        for msg in theirs.messages():
            received.append(bytes(msg))
            if msg == b"last":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    for number in range(50):
        ours.send(b"%d" % number)
        theirs.send(b"while iterating")
    ours.send(b"last")
    listener.join(SOON)

    assert not listener.is_alive()
    assert received == [b"%d" % number for number in range(50)] + [b"last"]
    assert [bytes(ours.next(SOON)) for _ in range(50)] == [b"while iterating"] * 50


@pytest.mark.parametrize("payload", [b"", b"x", bytearray(b"array"), b"y" * 262_144])
def test_payloads_of_every_size_arrive_whole(pair, payload):
    ours, theirs = pair

    ours.send(payload)

    assert theirs.next(SOON) == bytes(payload)


def test_a_payload_beyond_the_limit_is_refused_with_its_size(pair):
    ours, theirs = pair

    with pytest.raises(ChannelError) as raised:
        ours.send(b"x" * 262_145)

    assert str(raised.value).startswith("message too large: 262145 bytes exceeds 262144 byte limit")
    ours.send(b"still here")
    assert theirs.next(SOON) == b"still here"


def test_text_is_no_payload(pair):
    with pytest.raises(TypeError):
        pair[0].send("text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["bad-name", "", "a/b", "a//c", "/b/c", "a/b/", "a/b/c d", "a/b/\u00e9", "a/b/" + "c" * 253, "a/b/c\n"]
)
def test_a_bad_channel_name_is_refused(alice, name):
    with pytest.raises(ChannelError) as raised:
        alice.create_channel(name)

    assert str(raised.value).startswith("invalid channel name: ")
    assert "(expected org/namespace/service)" in str(raised.value)
    assert alice.channels() == []


def test_the_documented_text_for_a_bad_name(alice):
    with pytest.raises(RuntimeError) as raised:
        alice.create_channel("bad-name")

    assert str(raised.value) == "invalid channel name: bad-name (expected org/namespace/service)"


@pytest.mark.parametrize("welcome", [b"", b"garbage", b"\x00\x01\x00\x03" + b"\xff" * 100])
def test_a_garbage_welcome_is_refused_and_nothing_is_joined(bob, welcome):
    with pytest.raises(MlsError) as raised:
        bob.join_channel(NAME, welcome)

    assert str(raised.value).startswith("MLS engine error: ")
    assert bob.channels() == []


def test_a_garbage_key_package_is_refused_and_the_channel_goes_on(pair):
    ours, theirs = pair

    with pytest.raises(MlsError) as raised:
        ours.add_member(b"garbage")

    assert str(raised.value).startswith("MLS engine error: ")
    ours.send(b"still here")
    assert theirs.next(SOON) == b"still here"


def test_a_welcome_for_somebody_else_is_refused(alice, bob, group):
    channel = alice.create_channel(NAME)
    welcome = channel.add_member(bob.generate_key_package())

    with client(group, b"carol") as carol, pytest.raises(MlsError):
        carol.join_channel(NAME, welcome)

    assert bob.join_channel(NAME, welcome).name == NAME


def test_a_welcome_for_another_channel_is_refused(alice, bob):
    channel = alice.create_channel(NAME)
    welcome = channel.add_member(bob.generate_key_package())

    with pytest.raises(MlsError):
        bob.join_channel("acme/team/other", welcome)


@pytest.mark.parametrize("has_joined", [True, False])
def test_a_key_package_adds_once_and_nobody_is_lost_by_the_second_time(pair, group, has_joined):
    ours, _ = pair
    with client(group, b"carol") as carol:
        package = carol.generate_key_package()
        welcome = ours.add_member(package)
        hers = carol.join_channel(NAME, welcome) if has_joined else None

        with pytest.raises(MlsError) as raised:
            ours.add_member(package)

        assert str(raised.value).startswith("MLS engine error: MLS group error: DuplicateLeafData(2)")
        hers = hers or carol.join_channel(NAME, welcome)
        ours.send(b"still here")
        assert hers.next(SOON) == b"still here"


def test_nobody_adds_itself(pair, alice):
    ours, _ = pair

    with pytest.raises(MlsError) as raised:
        ours.add_member(alice.generate_key_package())

    assert str(raised.value).startswith("MLS engine error: MLS group error: DuplicateLeafData(0)")


def test_members_are_listed_and_a_removed_one_hears_nothing_more(pair, alice, group):
    ours, theirs = pair
    with client(group, b"carol") as carol:
        hers = carol.join_channel(NAME, ours.add_member(carol.generate_key_package()))
        assert sorted(member.identity for member in ours.members()) == [b"alice", b"bob", b"carol"]
        assert [member.identity for member in ours.members() if member.me] == [b"alice"]

        ours.remove_member(b"bob")
        ours.send(b"without bob")

        assert hers.next(SOON) == b"without bob"
        assert sorted(member.identity for member in hers.members()) == [b"alice", b"carol"]
        with pytest.raises(ChannelError, match="^this member was removed"):
            theirs.next(SOON)


def test_nobody_is_removed_who_is_not_there(pair):
    ours, _ = pair

    with pytest.raises(ChannelError):
        ours.remove_member(b"nobody")


def test_who_leaves_is_gone(pair, alice, bob):
    ours, theirs = pair

    theirs.leave()

    kinds = set()
    while "member_removed" not in kinds:
        found = ours.events(SOON)
        assert found
        kinds |= {event.kind for event in found}
    assert [member.identity for member in ours.members()] == [b"alice"]
    assert bob.channels() == []


def test_a_key_is_rotated_and_both_go_on_in_the_new_epoch(pair):
    ours, theirs = pair
    before = ours.epoch

    ours.rotate_key()
    ours.send(b"fresh")

    message = theirs.next(SOON)
    assert message == b"fresh"
    assert message.epoch == ours.epoch == theirs.epoch == before + 1


def test_the_audit_key_is_the_same_for_all_members_of_an_epoch(pair):
    ours, theirs = pair
    first = ours.export_audit_key()

    assert len(first) == 32
    assert theirs.export_audit_key() == first
    ours.rotate_key()
    assert ours.export_audit_key() != first


def test_groups_of_mock_clients_do_not_reach_each_other(pair, group):
    ours, _ = pair
    with client(group + "-other", b"eve") as eve:
        hers = eve.create_channel(NAME)

        ours.send(b"for bob")

        assert hers.next(0.2) is None


def test_a_closed_client_ends_its_iterators_and_says_so(group):
    alice = client(group, b"alice")
    channel = alice.create_channel(NAME)
    seen = []
    listener = threading.Thread(target=lambda: seen.extend(channel.messages()))
    listener.start()

    alice.close()
    alice.close()
    listener.join(SOON)

    assert not listener.is_alive() and seen == []
    with pytest.raises(SkytaleError):
        channel.send(b"x")
    with pytest.raises(SkytaleError):
        alice.create_channel("acme/team/other")


def test_creating_a_channel_again_makes_a_fresh_one(pair, alice, bob):
    _, theirs = pair

    fresh = alice.create_channel(NAME)
    fresh.send(b"into the fresh one")

    assert [member.identity for member in fresh.members()] == [b"alice"]
    assert theirs.next(0.2) is None
    again = bob.join_channel(NAME, fresh.add_member(bob.generate_key_package()))
    fresh.send(b"to bob")
    assert again.next(SOON) == b"to bob"
    assert alice.flush(SOON)
    assert "relay_misbehaving" not in {event.kind for event in fresh.events()}


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_a_value_error(pair, timeout):
    with pytest.raises(ValueError):
        pair[0].next(timeout)


def test_who_is_removed_reads_what_came_before_and_then_the_reason_that_sending_has(pair):
    ours, theirs = pair
    waiting, ends = iter(theirs.messages()), []

    def read():
        try:
            ends.extend(waiting)
        except ChannelError as error:
            ends.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    ours.send(b"one")
    ours.send(b"two")
    ours.remove_member(b"bob")
    reader.join(SOON)

    *messages, end = ends
    with pytest.raises(ChannelError, match="^this member was removed from acme/team/general; ask to be added again") as raised:
        theirs.send(b"?")
    assert messages == [b"one", b"two"]
    assert (str(end), end.code) == (str(raised.value), "refused")
    with pytest.raises(ChannelError, match="^this member was removed"):
        theirs.next()
    removed = [event for event in theirs.events(SOON) if event.kind == "removed"]
    assert [(event.by, event.epoch) for event in removed] == [(b"alice", ours.epoch)]


def test_nobody_removes_oneself(pair):
    ours, theirs = pair

    for who in (b"bob", 1, theirs.members()[1]):
        with pytest.raises(ChannelError, match=r"^a member does not remove itself from acme/team/general; leave\(\)"):
            theirs.remove_member(who)
    assert len(ours.members()) == 2


def test_directories_that_cannot_be_used_say_what_is_wrong_and_what_to_do(group, tmp_path):
    def open_on(directory):
        return SkytaleClient(identity=b"alice", mock=True, mock_group=group, data_dir=directory)

    (tmp_path / "file").write_text("something else")
    with pytest.raises(MlsError, match="file is a file, and the state is kept in a directory; name another one"):
        open_on(tmp_path / "file")
    with open_on(tmp_path / "alice"):
        with pytest.raises(MlsError, match=r"is open in this process already: .* close\(\) the other one"):
            open_on(tmp_path / "alice")
    (tmp_path / "alice" / "member.redb").unlink()
    with pytest.raises(MlsError, match="missing or empty, .* to begin as a new agent .* delete .*workspace.key") as raised:
        open_on(tmp_path / "alice")
    assert raised.value.code == "state_lost"
    (tmp_path / "alice" / "workspace.key").unlink()
    open_on(tmp_path / "alice").close()
