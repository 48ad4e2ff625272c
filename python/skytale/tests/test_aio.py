"""The client and the manager for asyncio, between mock agents."""

from __future__ import annotations

import asyncio
import time

import pytest

from skytale_sdk import ChannelError, Envelope, Protocol, SkytaleError, UnknownChannelError
from skytale_sdk.aio import SkytaleChannelManager, SkytaleClient

NAME = "acme/team/general"
SOON = 20.0


async def channel_of_two(alice, bob):
    ours = await alice.create_channel(NAME)
    return ours, await bob.join_channel(NAME, await ours.add_member(await bob.generate_key_package()))


def two(group):
    return (SkytaleClient(identity=name, mock=True, mock_group=group) for name in (b"alice", b"bob"))


def run(work):
    asyncio.run(asyncio.wait_for(work, 60))


def test_two_members_talk_and_iterate(group):
    async def talk():
        first, second = two(group)
        async with first as alice, second as bob:
            ours, theirs = await channel_of_two(alice, bob)
            for number in range(10):
                await ours.send(b"%d" % number)

            received = []
            async for message in theirs.messages():
                received.append(bytes(message))
                if len(received) == 10:
                    break

            assert received == [b"%d" % number for number in range(10)]
            assert alice.channels() == [NAME]

    run(talk())


def test_a_message_that_was_on_its_way_to_a_cancelled_call_is_the_next_one(group):
    async def talk():
        first, second = two(group)
        async with first as alice, second as bob:
            ours, theirs = await channel_of_two(alice, bob)
            for number in range(0, 40, 2):
                waiting = asyncio.ensure_future(theirs.next())
                await asyncio.sleep(0)
                await ours.send(b"%d" % number)
                await ours.send(b"%d" % (number + 1))
                # Both are here and one is taken, but the loop does not run: nobody has it.
                time.sleep(0.05)
                waiting.cancel()
                following = asyncio.ensure_future(theirs.next(SOON))
                await asyncio.wait([waiting])
                if not waiting.cancelled():
                    assert waiting.result() == b"%d" % number
                    assert await following == b"%d" % (number + 1)
                    continue

                assert await following == b"%d" % number
                assert await theirs.next(SOON) == b"%d" % (number + 1)

    run(talk())


def test_waiting_does_not_hold_up_the_loop_and_a_cancelled_wait_loses_nothing(group):
    async def talk():
        first, second = two(group)
        async with first as alice, second as bob:
            ours, theirs = await channel_of_two(alice, bob)
            for number in range(200):
                waiting = asyncio.ensure_future(theirs.next())
                await asyncio.sleep(0)
                sending = asyncio.ensure_future(ours.send(b"%d" % number))
                # At any moment: before it came, while it comes, after.
                for _ in range(number):
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
                await sending
                if waiting.cancelled():
                    assert await theirs.next(SOON) == b"%d" % number
                else:
                    assert waiting.result() == b"%d" % number

    run(talk())


def test_a_wait_ends_in_time_and_when_the_client_is_closed(group):
    async def talk():
        client = SkytaleClient(identity=b"alice", mock=True, mock_group=group)
        with pytest.raises(SkytaleError):
            await client.create_channel(NAME)
        await client.open()
        channel = await client.create_channel(NAME)
        assert await channel.next(0.05) is None

        waiting = asyncio.ensure_future(channel.next())
        await asyncio.sleep(0)
        await client.close()

        assert await waiting is None

    run(talk())


def test_errors_are_the_same_exceptions(group):
    async def talk():
        async with SkytaleClient(identity=b"alice", mock=True, mock_group=group) as alice:
            with pytest.raises(SkytaleError, match="^invalid channel name: "):
                await alice.create_channel("bad-name")

    run(talk())


def test_the_manager_has_the_same_names(group):
    async def talk():
        async with (
            SkytaleChannelManager("alice", mock=True, mock_group=group) as alice,
            SkytaleChannelManager("bob", mock=True, mock_group=group) as bob,
        ):
            await alice.create(NAME)
            await bob.join(NAME, await alice.add_member(NAME, await bob.key_package()))
            await alice.send(NAME, "hello")
            await alice.send_envelope(NAME, Envelope(Protocol.SLIM, "text/plain", b"x"))

            assert await bob.receive_latest(NAME, SOON) is not None
            assert [member.identity for member in await bob.members(NAME)] == [b"alice", b"bob"]
            assert await bob.export_audit_key(NAME) == await alice.export_audit_key(NAME)

    run(talk())


def test_who_is_removed_reads_what_came_before_and_is_told_then_why_nothing_more_comes(group):
    async def scenario():
        first, second = two(group)
        async with first as alice, second as bob:
            ours, theirs = await channel_of_two(alice, bob)
            taken = []

            async def read():
                async for message in theirs.messages():
                    taken.append(message)

            reading = asyncio.ensure_future(read())
            await ours.send(b"before")
            await ours.remove_member(b"bob")

            with pytest.raises(ChannelError, match="^this member was removed from acme/team/general"):
                await reading
            assert taken == [b"before"]

    run(scenario())


def test_a_channel_that_a_manager_is_not_in_is_a_key_error_with_a_sentence(group):
    async def scenario():
        async with SkytaleChannelManager("alice", mock=True, mock_group=group) as alice:
            for call in (lambda: alice.send(NAME, "x"), lambda: alice.receive(NAME, 0), lambda: alice.invite(NAME)):
                with pytest.raises(
                    UnknownChannelError, match="^this agent is not in the channel acme/team/general; create or join it"
                ):
                    await call()

    run(scenario())
