"""The published Python client, unmodified, against our daemon with the published daemon as the peer.

Sending, listening, streaming and reading back, called the way the client's documentation shows it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import toq

from daemon import until
from events import Listener


# A listening loop that nobody ends would keep the whole run waiting.
LOOP_DEADLINE = 25


def test_the_client_finds_the_daemon_through_the_workspace(ours, monkeypatch):
    monkeypatch.chdir(ours.workspace)
    monkeypatch.delenv("TOQ_URL", raising=False)

    with toq.connect() as client:
        assert client.health() == "ok"


def test_send_waits_by_default_and_threads_continue_and_close(client, ours, peer):
    with Listener(peer) as listener:
        first = client.send(peer.address, "one")
        client.send(peer.address, "two", thread_id=first["thread_id"], reply_to=first["id"])
        client.send(peer.address, "three", thread_id=first["thread_id"], close_thread=True)
        queued = client.send(peer.address, "four", wait=False)

        events = listener.wait(4, ours.address)

    assert first["status"] == "delivered"
    assert queued["status"] == "queued"
    assert [event["body"]["text"] for event in events] == ["one", "two", "three", "four"]
    assert events[1]["reply_to"] == first["id"]
    assert events[2]["type"] == "thread.close"


def test_send_to_a_list_answers_one_result_per_recipient(client, peer, house):
    carol = house("published", "carol")

    answer = client.send([peer.address, carol.address], "both")

    assert [result["to"] for result in answer["results"]] == [peer.address, carol.address]


def test_a_failed_send_raises_the_error_the_client_documents(client, peer):
    peer.stop()

    with pytest.raises(httpx.HTTPStatusError) as raised:
        client.send(peer.address, "anyone?")

    assert raised.value.response.status_code == 502
    assert raised.value.response.json()["error"]["code"] == "not_reachable"


def test_the_listening_loop_replies_to_every_message(ours, peer):
    seen = []

    async def answer_until_told_to_stop():
        async with toq.connect_async(ours.url) as client:
            async for message in client.messages():
                seen.append((message.sender, message.body["text"]))
                await message.reply(f"echo {message.body['text']}")
                if message.body["text"] == "stop":
                    return

    def echoes() -> list[str]:
        return [event["body"]["text"] for event in at_peer.events(ours.address)]

    def greet() -> list[str]:
        peer.send(ours.address, "greeting")
        return echoes()

    with Listener(peer) as at_peer, ThreadPoolExecutor(1) as background:
        loop = background.submit(asyncio.run, asyncio.wait_for(answer_until_told_to_stop(), LOOP_DEADLINE))
        # The client does not say when it is subscribed, and what came earlier is not streamed.
        until(greet, every=0.2, what="the loop to be listening")
        for text in ["one", "two", "stop"]:
            peer.send(ours.address, text, thread_id="t-loop")
        loop.result()
        until(lambda: echoes()[-3:] == ["echo one", "echo two", "echo stop"], what="the replies")

        replies = at_peer.events(ours.address)[-3:]

    assert {sender for sender, _ in seen} == {peer.address}
    assert {event["thread_id"] for event in replies} == {"t-loop"}
    assert all(event["reply_to"] for event in replies)


def test_the_listening_loop_filters_by_host_pattern_and_type(ours, peer):
    seen = []

    async def first_close():
        async with toq.connect_async(ours.url) as client:
            async for message in client.messages(from_addr="toq://127.0.0.1/*", msg_type="thread.close"):
                seen.append((message.type, message.sender))
                return

    def close() -> list:
        peer.send(ours.address, "not this one")
        peer.send(ours.address, "this one", close_thread=True)
        return seen

    with ThreadPoolExecutor(1) as background:
        loop = background.submit(asyncio.run, asyncio.wait_for(first_close(), LOOP_DEADLINE))
        until(close, every=0.2, what="the close to be seen")
        loop.result()

    assert seen == [("thread.close", peer.address)]


def test_the_three_call_stream_arrives_chunk_by_chunk(client, ours, peer):
    with Listener(peer) as listener:
        stream = client.stream_start(peer.address, thread_id="t-stream")
        for word in ["Here ", "it ", "comes"]:
            client.stream_chunk(stream["stream_id"], word)
        chunks = listener.wait(3, ours.address)
        client.stream_end(stream["stream_id"], close_thread=True)

        events = listener.wait(5, ours.address)

    assert [chunk["body"]["data"]["text"] for chunk in chunks] == ["Here ", "it ", "comes"]
    assert [event["type"] for event in events[3:]] == ["message.stream.end", "thread.close"]


def test_get_thread_shows_both_directions_oldest_first(client, ours, peer):
    sent = client.send(peer.address, "question")
    peer.send(ours.address, "answer", thread_id=sent["thread_id"])

    thread = client.get_thread(sent["thread_id"])

    assert thread["thread_id"] == sent["thread_id"]
    assert [message["body"]["text"] for message in thread["messages"]] == ["question", "answer"]
    assert [message["from"] for message in thread["messages"]] == [ours.address, peer.address]


def test_history_is_incoming_only_and_oldest_first(client, ours, peer):
    client.send(peer.address, "mine")
    for number in range(3):
        peer.send(ours.address, f"m{number}")

    newest = client.history(limit=2)
    everything = client.history(from_addr="127.0.0.1")

    assert [entry["body"]["text"] for entry in newest] == ["m1", "m2"]
    assert [entry["body"]["text"] for entry in everything] == ["m0", "m1", "m2"]
    assert client.history(since=everything[-1]["timestamp"])[-1]["id"] == everything[-1]["id"]
