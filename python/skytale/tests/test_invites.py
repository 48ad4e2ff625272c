"""Invites through the API server of `toq relay up`."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request

import pytest

from relay import run
from skytale_sdk import ChannelError, SkytaleClient, SkytaleError, aio

NAME = "acme/team/general"
SOON = 30.0


def test_an_invite_admits_an_agent_of_another_process_while_the_owner_runs(relay, client, tmp_path):
    alice = client("alice")
    channel = alice.create_channel(NAME)
    program = f"""
        from skytale_sdk import SkytaleChannelManager
        with SkytaleChannelManager("bob") as bob:
            bob.join_with_token({NAME!r}, {alice.invite(NAME)!r})
            bob.send({NAME!r}, "bob is here")
    """

    done = run(program, relay, tmp_path)

    assert done.returncode == 0, done.stderr
    message = channel.next(SOON)
    assert (message, message.sender) == (b"bob is here", b"bob")


def test_a_hundred_who_join_at_once_by_an_invite_for_one_are_one(relay, tmp_path):
    async def scenario():
        def member(name):
            return aio.SkytaleClient(relay.endpoint, tmp_path / name, name.encode(), relay.key, relay.api_url)

        async with member("owner") as owner:
            channel = await owner.create_channel(NAME)
            token = await owner.invite(NAME, max_uses=1)
            joiners = [await member(f"joiner-{number}").open() for number in range(100)]

            joins = [joiner.join_with_token(NAME, token, SOON) for joiner in joiners]
            ends = await asyncio.gather(*joins, return_exceptions=True)

            [(winner, joined)] = [(one, end) for one, end in zip(joiners, ends) if not isinstance(end, BaseException)]
            refused = [end for end in ends if isinstance(end, BaseException)]
            assert {(type(end), end.code, end.http_status) for end in refused} == {(ChannelError, "bad_request", 400)}
            assert [one.channels() for one in joiners if one is not winner] == [[]] * 99
            assert {member.identity for member in await channel.members()} == {b"owner", winner.identity}
            assert channel.epoch == 1
            await joined.send(b"I am the one")
            message = await channel.next(SOON)
            assert (message, message.sender) == (b"I am the one", winner.identity)
            await asyncio.gather(*(joiner.close() for joiner in joiners))

    asyncio.run(scenario())


def test_invites_that_do_not_fit_are_refused_and_lose_no_use(client):
    alice, bob = client("alice"), client("bob")
    alice.create_channel(NAME)
    alice.create_channel("acme/team/other")
    token = alice.invite(NAME)

    for name, wrong in ((NAME, "skt_inv_" + "A" * 64), (NAME, "no token"), (NAME, ""), ("acme/team/other", token)):
        with pytest.raises(ChannelError) as raised:
            bob.join_with_token(name, wrong, timeout=SOON)
        assert raised.value.http_status in (400, 404)
    with pytest.raises(ChannelError, match="^invalid channel name: "):
        bob.join_with_token("bad-name", token, timeout=SOON)
    assert bob.channels() == []

    assert bob.join_with_token(NAME, token, timeout=SOON).name == NAME
    with pytest.raises(ChannelError, match=r"^API error \(400\): "):
        client("carol").join_with_token(NAME, token, timeout=SOON)


def test_an_invite_that_has_expired_is_refused_and_the_next_one_admits(client):
    alice, bob = client("alice"), client("bob")
    alice.create_channel(NAME)
    token = alice.invite(NAME, max_uses=1000, ttl=1)
    alice.close()

    # Nobody answers meanwhile, so each attempt before the end of the invite ends without an answer, and is taken back.
    refused, patience = None, time.monotonic() + SOON
    while refused is None and time.monotonic() < patience:
        try:
            bob.join_with_token(NAME, token, timeout=0.1)
        except ChannelError as error:
            refused = error
        except SkytaleError as error:
            assert str(error).startswith("join timed out after 0.1s")
            assert bob.withdraw_join(NAME, token)

    assert str(refused).startswith("API error (400): ") and "expired" in str(refused)
    alice = client("alice")
    assert bob.join_with_token(NAME, alice.invite(NAME), timeout=SOON).name == NAME


def test_who_stopped_waiting_comes_in_by_the_same_invite_in_another_run(client):
    alice, bob = client("alice"), client("bob")
    alice.create_channel(NAME)
    token = alice.invite(NAME)
    alice.close()
    with pytest.raises(SkytaleError, match="the same token waits on"):
        bob.join_with_token(NAME, token, timeout=0.1)
    bob.close()
    alice = client("alice")

    joined = client("bob").join_with_token(NAME, token, timeout=SOON)

    assert {member.identity for member in joined.members()} == {b"alice", b"bob"}
    alice.open_channel(NAME).send(b"hello")
    assert joined.next(SOON) == b"hello"


def test_a_join_that_is_cancelled_is_taken_up_again(client, relay, tmp_path):
    alice = client("alice")
    alice.create_channel(NAME)
    token = alice.invite(NAME)
    alice.close()
    pending = urllib.request.Request(
        f"{relay.api_url}/v1/channels/pending?channel={NAME.replace('/', '%2F')}",
        headers={"Authorization": f"Bearer {relay.key}"},
    )

    def requests():
        with urllib.request.urlopen(pending, timeout=SOON) as answer:
            return json.load(answer)["requests"]

    async def scenario():
        async with aio.SkytaleClient(relay.endpoint, tmp_path / "bob", b"bob", relay.key, relay.api_url) as bob:
            joining = asyncio.ensure_future(bob.join_with_token(NAME, token, SOON))
            while not await asyncio.to_thread(requests):
                await asyncio.sleep(0.05)
            joining.cancel()
            with pytest.raises(asyncio.CancelledError):
                await joining
            alice = await asyncio.to_thread(client, "alice")
            joined = await bob.join_with_token(NAME, token, SOON)
            assert joined.epoch == 1
            assert len(alice.open_channel(NAME).members()) == 2

    asyncio.run(scenario())


def test_who_withdraws_is_not_let_in_and_the_token_admits_another(client):
    alice, bob = client("alice"), client("bob")
    channel = alice.create_channel(NAME)
    token = alice.invite(NAME)
    alice.close()
    assert not bob.withdraw_join(NAME, token)
    with pytest.raises(SkytaleError, match="^join timed out"):
        bob.join_with_token(NAME, token, timeout=0.1)

    assert bob.withdraw_join(NAME, token)

    channel = client("alice").open_channel(NAME)
    carol = client("carol")
    carol.join_with_token(NAME, token, timeout=SOON)
    assert [member.identity for member in channel.members()] == [b"alice", b"carol"]
    with pytest.raises(ChannelError, match=r"leave\(\)") as raised:
        carol.withdraw_join(NAME, token)
    assert raised.value.code == "refused"


@pytest.mark.parametrize("terms", [{"max_uses": -1}, {"ttl": -1}, {"ttl": 2**32}, {"max_uses": -(2**70)}])
def test_terms_that_no_invite_can_have_are_refused_with_a_sentence(client, terms):
    alice = client("alice")
    alice.create_channel(NAME)

    with pytest.raises(ChannelError, match=r"^(ttl|max_uses) is -?[0-9]+; it is at least 1") as raised:
        alice.invite(NAME, **terms)

    assert raised.value.code == "bad_request"
    with pytest.raises(TypeError, match="^ttl is a whole number, not str"):
        alice.invite(NAME, ttl="1")


@pytest.mark.parametrize("terms", [{"max_uses": 0}, {"ttl": 0}, {"ttl": 10**9}])
def test_an_invite_for_nobody_or_for_ever_is_not_made(client, terms):
    alice = client("alice")
    alice.create_channel(NAME)

    with pytest.raises(ChannelError, match=r"^API error \(400\): "):
        alice.invite(NAME, **terms)

    assert alice.invite(NAME).startswith("skt_inv_")


def test_a_join_that_nobody_answers_ends_in_time(client):
    alice = client("alice")
    alice.create_channel(NAME)
    token = alice.invite(NAME)
    alice.close()

    with pytest.raises(SkytaleError, match="^join timed out after 1.0s — channel owner may not be running"):
        client("bob").join_with_token(NAME, token, timeout=1.0)


def test_an_invite_for_a_channel_that_is_not_here_is_refused(client):
    with pytest.raises(ChannelError, match="^no channel acme/team/general here"):
        client("alice").invite(NAME)


def test_an_open_invite_outlives_its_owner_and_is_answered_when_it_is_back(client):
    alice = client("alice")
    alice.create_channel(NAME)
    token = alice.invite(NAME)
    alice.close()

    async def scenario():
        joining = asyncio.ensure_future(asyncio.to_thread(client("bob").join_with_token, NAME, token, SOON))
        client("alice")
        return await joining

    assert asyncio.run(scenario()).name == NAME


def test_without_a_key_there_are_no_invites_and_the_text_says_how_to_get_one(anonymous, tmp_path):
    with SkytaleClient(anonymous.endpoint, tmp_path / "alice", b"alice") as alice:
        alice.create_channel(NAME)

        for call in (lambda: alice.invite(NAME), lambda: alice.join_with_token(NAME, "skt_inv_x")):
            with pytest.raises(
                SkytaleError, match=r"^(invite|join_with_token)\(\) requires api_key and api_url; .*toq relay key create"
            ):
                call()
