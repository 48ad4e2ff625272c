"""Streams between our daemon and the published one: order, shape and the session they ride on."""

import pytest

from daemon import until

WORDS = [f"word{number} " for number in range(40)]


def stream(sender, to: str, words: list[str], **end) -> tuple[dict, list[str]]:
    """Sends the words as one stream; returns the start's answer and the ids of chunks and end."""
    start = sender.post("/v1/stream/start", {"to": to, "thread_id": "t-stream"})
    ids = [
        sender.post("/v1/stream/chunk", {"stream_id": start["stream_id"], "text": word})["chunk_id"] for word in words
    ]
    ids.append(sender.post("/v1/stream/end", {"stream_id": start["stream_id"], **end})["chunk_id"])
    return start, ids


def test_chunks_and_end_arrive_in_order(pair):
    with pair.listen() as listener:
        start, ids = stream(pair.alice, pair.bob.address, WORDS)

        events = listener.wait(len(WORDS) + 1, pair.alice.address)

    assert start["thread_id"] == "t-stream"
    assert [event["id"] for event in events] == ids
    assert [event["type"] for event in events[:-1]] == ["message.stream.chunk"] * len(WORDS)
    assert [event["body"]["data"]["text"] for event in events[:-1]] == WORDS
    assert events[-1]["type"] == "message.stream.end"
    assert {event["body"]["stream_id"] for event in events} == {start["stream_id"]}
    assert {event["thread_id"] for event in events} == {"t-stream"}


def test_the_end_we_receive_carries_the_whole_text(incoming):
    with incoming.listen() as listener:
        stream(incoming.alice, incoming.bob.address, WORDS, text="tail")

        end = listener.wait(len(WORDS) + 1, incoming.alice.address)[-1]

    assert end["body"]["data"] == {"text": "tail"}
    assert end["body"]["text"] == "".join(WORDS) + "tail"
    kept = incoming.bob.history()
    assert [entry["type"] for entry in kept] == ["message.stream.end"]
    assert kept[0]["body"]["text"] == "".join(WORDS) + "tail"


def test_a_stream_that_closes_its_thread_is_followed_by_the_close(pair):
    with pair.listen() as listener:
        stream(pair.alice, pair.bob.address, WORDS[:2], close_thread=True)

        events = listener.wait(4, pair.alice.address)

    assert [event["type"] for event in events[-2:]] == ["message.stream.end", "thread.close"]
    assert events[-1]["thread_id"] == "t-stream"


def test_an_open_stream_is_a_connection_the_receiver_lists(pair):
    start = pair.alice.post("/v1/stream/start", {"to": pair.bob.address})
    pair.alice.post("/v1/stream/chunk", {"stream_id": start["stream_id"], "text": "still here"})

    connections = pair.bob.get("/v1/connections")["connections"]

    assert [connection["peer_public_key"] for connection in connections] == [pair.alice.key]
    assert connections[0]["peer_address"] == pair.alice.address
    assert [peer["status"] for peer in pair.bob.get("/v1/peers")["peers"]] == ["connected"]
    pair.alice.post("/v1/stream/end", {"stream_id": start["stream_id"]})


def test_messages_pass_while_a_stream_is_open(pair):
    with pair.listen() as listener:
        start = pair.alice.post("/v1/stream/start", {"to": pair.bob.address})
        pair.alice.post("/v1/stream/chunk", {"stream_id": start["stream_id"], "text": "one"})
        pair.alice.send(pair.bob.address, "meanwhile")
        pair.alice.post("/v1/stream/chunk", {"stream_id": start["stream_id"], "text": "two"})
        pair.alice.post("/v1/stream/end", {"stream_id": start["stream_id"]})

        events = listener.wait(4, pair.alice.address)

    kinds = [event["type"].removeprefix("message.") for event in events]
    assert kinds == ["stream.chunk", "send", "stream.chunk", "stream.end"]


@pytest.mark.parametrize("step", ["chunk", "end"])
def test_an_unknown_stream_is_not_found(pair, step):
    answer = pair.alice.post(f"/v1/stream/{step}", {"stream_id": "no-such-stream", "text": "x"}, expect=404)

    assert answer["error"]["code"] == "not_found"


def test_a_stream_to_a_dead_address_does_not_start(pair):
    pair.bob.stop()

    answer = pair.alice.post("/v1/stream/start", {"to": pair.bob.address}, expect=502)

    assert answer["error"]["code"] == "not_reachable"


def test_a_dropped_published_sender_leaves_our_daemon_serving(incoming):
    start = incoming.alice.post("/v1/stream/start", {"to": incoming.bob.address})
    incoming.alice.post("/v1/stream/chunk", {"stream_id": start["stream_id"], "text": "cut"})

    incoming.alice.process.kill()

    until(lambda: incoming.bob.get("/v1/connections")["connections"] == [], what="the session to go")
    assert incoming.bob.get("/v1/status")["status"] == "running"
