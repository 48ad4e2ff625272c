"""Channels of proven members: who makes them, who gets in, and who may do what there."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skytale_sdk import ChannelError, MlsError, SkytaleChannelManager, SkytaleClient, SkytaleError, aio

NAME = "acme/team/general"
SOON = 20.0


def prove(member, key=None):
    """Binds a client or manager to an agent key, a fresh one unless it is given."""
    key = key or Ed25519PrivateKey.generate()
    return member.prove(octets(key), key.sign(member.statement()))


def octets(key):
    return key.public_key().public_bytes_raw()


@pytest.fixture
def member(group):
    """`member("alice")` is a proven mock client, `member("eve", is_proven=False)` one that only says who it is."""
    running = []

    def start(name, is_proven=True, key=None, **more):
        running.append(SkytaleClient(identity=name.encode(), mock=True, mock_group=group, **more))
        if is_proven:
            prove(running[-1], key)
        return running[-1]

    yield start
    for one in running:
        one.close()


def added(channel, joiner):
    return joiner.join_channel(NAME, channel.add_member(joiner.generate_key_package()))


def test_proven_members_talk_and_know_each_other_as_proven(member):
    alice, bob = member("alice"), member("bob")
    ours = alice.create_channel(NAME, proven=True)
    theirs = added(ours, bob)

    ours.send(b"hello")
    message = theirs.next(SOON)

    assert (message, message.sender, message.proven) == (b"hello", b"alice", True)
    assert [(one.identity, one.role, one.proven) for one in theirs.members()] == [
        (b"alice", "owner", True),
        (b"bob", "member", True),
    ]


def test_in_an_ordinary_channel_it_is_seen_who_is_proven(member):
    alice, bob = member("alice"), member("bob", is_proven=False)
    ours = alice.create_channel(NAME)
    theirs = added(ours, bob)

    ours.send(b"from alice")
    theirs.send(b"from bob")

    assert (theirs.next(SOON).proven, ours.next(SOON).proven) == (True, False)
    assert [one.proven for one in ours.members()] == [True, False]


def test_a_program_sees_which_agent_key_vouches_for_a_sender_and_a_member(member):
    keys = [Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()]
    alice, bob, plain = member("alice", key=keys[0]), member("bob", key=keys[1]), member("plain", is_proven=False)
    ours = alice.create_channel(NAME)
    theirs = added(ours, bob)
    its = added(ours, plain)

    theirs.send(b"it is me")
    message = ours.next(SOON)
    assert (message.sender, message.proven, message.key) == (b"bob", True, octets(keys[1]))
    assert [one.key for one in ours.members()] == [octets(keys[0]), octets(keys[1]), None]
    its.send(b"and I")
    assert ours.next(SOON).key is None


def test_who_uses_a_pinned_name_with_another_key_is_neither_added_nor_joined(member):
    bobs, others = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    alice = member("alice", pins={b"bob": octets(bobs)})
    ours = alice.create_channel(NAME)

    for impostor in (member("bob", key=others), member("bob", is_proven=False)):
        with pytest.raises(ChannelError, match="pinned"):
            ours.add_member(impostor.generate_key_package())
    theirs = added(ours, member("bob", key=bobs))
    assert len(ours.members()) == 2

    carol = member("carol", pins={b"bob": octets(others)})
    with pytest.raises(ChannelError, match="pinned"):
        added(theirs, carol)
    assert carol.channels() == []


def test_who_lets_an_impostor_in_is_seen_by_whom_that_name_is_pinned(member):
    bobs = Ed25519PrivateKey.generate()
    alice, carol = member("alice"), member("carol", pins={b"bob": octets(bobs)})
    ours = alice.create_channel(NAME)
    hers = added(ours, carol)

    added(ours, member("bob"))

    broken = []
    while not broken:
        told = hers.events(SOON)
        assert told, "it is told in time"
        broken = [event for event in told if event.kind == "pin_broken"]
    assert [(event.subject, event.by) for event in broken] == [(b"bob", b"alice")] and "pinned" in broken[0].detail


@pytest.mark.parametrize("pins", [{"bob": bytes(32)}, {b"bob": bytes(31)}, {b"bob": "key"}])
def test_pins_of_another_form_are_refused(member, pins):
    with pytest.raises(TypeError, match="pins"):
        member("alice", pins=pins)


def test_a_member_as_it_was_listed_is_removed_and_nobody_who_came_to_its_leaf_later(member):
    alice = member("alice")
    ours = alice.create_channel(NAME)
    added(ours, member("bob"))
    bob = ours.members()[1]
    ours.remove_member(bob)
    added(ours, member("carol"))
    assert ours.members()[1].leaf == bob.leaf

    with pytest.raises(ChannelError, match="no such member"):
        ours.remove_member(bob)

    assert [one.identity for one in ours.members()] == [b"alice", b"carol"]


def test_who_is_not_proven_neither_makes_nor_enters_such_a_channel(member):
    alice, eve = member("alice"), member("eve", is_proven=False)
    with pytest.raises(SkytaleError) as raised:
        eve.create_channel(NAME, proven=True)
    assert isinstance(raised.value, (ChannelError, MlsError)) and eve.channels() == []
    ours = alice.create_channel(NAME, proven=True)

    with pytest.raises(SkytaleError) as raised:
        ours.add_member(eve.generate_key_package())

    assert isinstance(raised.value, (ChannelError, MlsError))
    assert [one.identity for one in ours.members()] == [b"alice"]
    theirs = added(ours, member("bob"))
    ours.send(b"still here")
    assert theirs.next(SOON) == b"still here"


def test_only_its_owner_adds_and_removes(member):
    alice, bob, carol = member("alice"), member("bob"), member("carol")
    ours = alice.create_channel(NAME, proven=True)
    theirs = added(ours, bob)

    for forbidden in (lambda: theirs.add_member(carol.generate_key_package()), lambda: theirs.remove_member(b"alice")):
        with pytest.raises(SkytaleError) as raised:
            forbidden()
        assert isinstance(raised.value, (ChannelError, MlsError))

    hers = added(ours, carol)
    ours.remove_member(b"bob")
    ours.send(b"without bob")
    assert hers.next(SOON) == b"without bob"
    assert sorted(one.identity for one in hers.members()) == [b"alice", b"carol"]


@pytest.mark.parametrize("broken", ["the signature", "the key", "the signer"])
def test_a_proof_that_is_none_is_refused(member, broken):
    eve = member("eve", is_proven=False)
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(eve.statement())
    if broken == "the signature":
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    elif broken == "the key":
        public = bytes(32)
    else:
        signature = key.sign(member("alice").statement())

    with pytest.raises(MlsError, match="^MLS engine error: "):
        eve.prove(public, signature)
    with pytest.raises(SkytaleError):
        eve.create_channel(NAME, proven=True)


@pytest.mark.parametrize(("key", "signature"), [(b"", bytes(64)), (bytes(31), bytes(64)), (bytes(32), bytes(63)), ("a", "b")])
def test_a_proof_of_another_length_is_no_proof(member, key, signature):
    with pytest.raises((TypeError, ValueError)):
        member("eve", is_proven=False).prove(key, signature)


def test_a_proven_member_is_let_in_by_an_invite_and_another_is_not(relay, tmp_path):
    def agent(name):
        return SkytaleChannelManager(name, relay.endpoint, tmp_path / name, relay.key, relay.api_url)

    with agent("alice") as alice, agent("bob") as bob, agent("eve") as eve:
        prove(alice)
        prove(bob)
        alice.create(NAME, proven=True)
        token = alice.invite(NAME, max_uses=2)

        with pytest.raises(ChannelError):
            eve.join_with_token(NAME, token, timeout=SOON)
        bob.join_with_token(NAME, token, timeout=SOON)

        alice.send(NAME, "among ourselves")
        assert bob.receive(NAME, timeout=SOON) == ["among ourselves"]
        assert eve.list_channels() == []
    with agent("bob") as bob:
        # A proof lasts as long as the directory.
        assert [one.proven for one in bob.members(NAME)] == [True, True]
        bob.create("acme/team/other", proven=True)


def test_the_awaited_client_proves_too(group):
    async def scenario():
        async with aio.SkytaleClient(identity=b"alice", mock=True, mock_group=group) as alice:
            await prove(alice)
            channel = await alice.create_channel(NAME, proven=True)
            assert [one.proven for one in await channel.members()] == [True]

    asyncio.run(scenario())
