"""What `messages()` promises about broken connections, for both clients."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import Any

import httpx
import pytest
from conftest import async_client
from scripted import Answer, Daemon, Stream, error, event

import toq
from toq._reader import FIRST_DELAY, LONGEST_DELAY, Reader

FEED = "/v1/messages"


@pytest.fixture(params=["sync", "async"])
def take(request: pytest.FixtureRequest, daemon: Daemon) -> Any:
    """Returns the first messages of a feed, read with either client."""

    def take_sync(count: int, **options: Any) -> list[toq.Message]:
        with toq.connect(daemon.url) as client:
            client._transport.pause = lambda _: None
            return list(islice(client.messages(**options), count))

    async def collect(count: int, **options: Any) -> list[toq.Message]:
        taken: list[toq.Message] = []
        async with async_client(daemon) as client:
            async for message in client.messages(**options):
                taken.append(message)
                if len(taken) == count:
                    break
        return taken

    if request.param == "sync":
        return take_sync
    return lambda count, **options: asyncio.run(collect(count, **options))


def texts(messages: list[toq.Message]) -> list[str]:
    return [message.text for message in messages]


def test_a_cut_stream_resumes_without_loss_or_repetition(daemon: Daemon, take: Any) -> None:
    half = event(3)[:-20]
    daemon.on(
        "GET",
        FEED,
        Stream([event(1), event(2), half], "cut"),
        Answer(None, 503),
        Stream([": hello\n\n", event(2), event(3), event(4)], "end"),
        Stream([event(5)]),
    )

    taken = take(5)

    assert texts(taken) == [f"text {n}" for n in range(1, 6)]
    assert [message.seq for message in taken] == [1, 2, 3, 4, 5]
    assert [seen.headers.get("last-event-id") for seen in daemon.to(FEED)] == [None, "2", "2", "4"]


def test_a_stream_cut_before_its_first_event_resumes_at_its_beginning(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, Stream([], "cut"), Stream([event(1)]))

    take(1)

    first, second = daemon.to(FEED)
    assert "since" not in first.query
    assert second.query["since"].startswith("20")


def test_an_id_without_data_is_a_position(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, Stream(["id: 41\n\n"], "cut"), Stream([event(42)]))

    assert texts(take(1)) == ["text 42"]
    assert daemon.to(FEED)[1].headers["last-event-id"] == "41"


def test_a_gap_is_filled_by_resuming(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, Stream([event(1), ": gap 2-3\n\n", event(4)]), Stream([event(n) for n in (2, 3, 4)]))

    assert [message.seq for message in take(4)] == [1, 2, 3, 4]


def test_a_gap_that_resuming_cannot_fill_is_reported(
    daemon: Daemon, take: Any, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.on("GET", FEED, Stream([": gap 1-3\n\n", event(4)]))

    with caplog.at_level(logging.WARNING, "toq"):
        assert [message.seq for message in take(1, since=1)] == [4]

    assert "events were lost" in caplog.text


def test_filters_and_start_go_into_the_query(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, Stream([event(1)]))

    take(1, from_addr="toq://localhost/*", msg_type="message.send", since=0, outgoing=True)

    assert daemon.seen[0].query == {
        "from": "toq://localhost/*",
        "type": "message.send",
        "since": "0",
        "outgoing": "true",
    }


def test_without_reconnect_a_cut_stream_raises(daemon: Daemon, take: Any) -> None:
    for ending in ("cut", "end"):
        daemon.on("GET", FEED, Stream([event(1)], ending))

        with pytest.raises(toq.ConnectionLost) as caught:
            take(2, reconnect=False)

        assert isinstance(caught.value, httpx.RemoteProtocolError)


def test_a_refusal_while_reconnecting_is_raised(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, Stream([event(1)], "cut"), error("invalid_request", 400))

    with pytest.raises(toq.InvalidRequest):
        take(2)


def test_the_first_connection_must_succeed(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, error("unavailable", 503), Stream([event(1)]))

    with pytest.raises(toq.Unavailable):
        take(1)


def test_a_message_without_a_sender_is_reported(daemon: Daemon, take: Any) -> None:
    daemon.on("GET", FEED, Stream(['data: {"id": "m1"}\n\n']))

    with pytest.raises(toq.UnexpectedAnswer, match="'type'"):
        take(1)


def test_line_separators_inside_a_text_do_not_end_the_line(daemon: Daemon, take: Any) -> None:
    text = "one\u2028two\u0085three\x0bfour"
    daemon.on("GET", FEED, Stream([event(1, text)[:40], event(1, text)[40:]]))

    assert texts(take(1)) == [text]


def test_a_consumer_is_offered_again_what_it_did_not_confirm(daemon: Daemon, client: toq.Client) -> None:
    again = {"attempt": 2, "redelivered": True}
    daemon.on(
        "POST", "/v1/consumers/worker/confirm", Answer({"consumer": "worker", "low_water": 1, "confirmed": 1})
    )
    daemon.on(
        "GET",
        FEED,
        Stream([event(1, attempt=1), event(2, attempt=1)], "cut"),
        Stream([event(1, **again), event(2, **again)]),
    )
    feed = client.messages(consumer="worker", since=0)

    first, second = next(feed), next(feed)
    first.confirm()
    third = next(feed)

    assert (first.attempt, first.redelivered, second.seq) == (1, False, 2)
    assert (third.id, third.attempt, third.redelivered) == ("m2", 2, True)
    assert daemon.to("/v1/consumers/worker/confirm")[0].body == {"seqs": [1]}
    for seen in daemon.to(FEED):
        assert seen.query == {"consumer": "worker", "since": "0"}
        assert "last-event-id" not in seen.headers


def test_a_message_is_not_hidden_by_another_sender_s_with_the_same_id(daemon: Daemon, client: toq.Client) -> None:
    daemon.on(
        "POST", "/v1/consumers/worker/confirm", Answer({"consumer": "worker", "low_water": 1, "confirmed": 1})
    )
    daemon.on("GET", FEED, Stream([event(1, id="same"), event(2, id="same"), event(1, id="same"), event(3)]))
    feed = client.messages(consumer="worker", since=0)

    seen = []
    for message in islice(feed, 3):
        message.confirm()
        seen.append(message.seq)

    assert seen == [1, 2, 3]
    assert [call.body for call in daemon.to("/v1/consumers/worker/confirm")] == [{"seqs": [seq]} for seq in seen]


def test_the_daemon_being_away_is_waited_for(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", FEED, Stream([event(1)], "cut"), *[Answer(None, 502)] * 8, Stream([event(2)]))

    assert [message.seq for message in islice(client.messages(), 2)] == [1, 2]

    assert len(client.delays) == 9
    assert all(FIRST_DELAY <= delay <= LONGEST_DELAY for delay in client.delays)


def test_delays_grow_up_to_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _, ceiling: ceiling)
    reader = Reader[Any](FEED, {}, lambda data, _: data)
    reader.request()
    reader.connected()

    delays = [reader.lost(httpx.ReadError("cut")) for _ in range(8)]
    reader.push(b":\n")

    assert delays == [0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]
    assert reader.lost(httpx.ReadError("cut")) == 0.4


def test_a_feed_connects_when_its_block_is_entered(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", FEED, Stream([event(1)]))

    with client.messages() as feed:
        assert len(daemon.to(FEED)) == 1
        assert next(feed).text == "text 1"

    assert list(feed) == []


def test_closing_the_client_ends_its_feeds(daemon: Daemon) -> None:
    daemon.on("GET", FEED, Stream([event(1)]))

    async def listen() -> list[toq.Message]:
        client, taken = async_client(daemon), []
        async for message in client.messages():
            taken.append(message)
            await client.close()
        return taken

    assert len(asyncio.run(listen())) == 1
    with toq.connect(daemon.url) as client:
        for _ in client.messages():
            client.close()


def test_giving_up_on_one_item_does_not_give_up_the_feed(daemon: Daemon) -> None:
    daemon.on("GET", FEED, Stream([event(1)]), Stream([event(2)]))

    async def listen() -> toq.Message:
        async with async_client(daemon) as client, client.messages() as feed:
            await feed.__anext__()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(feed.__anext__(), 0.05)
            return await feed.__anext__()

    assert asyncio.run(listen()).seq == 2
    assert daemon.to(FEED)[1].headers["last-event-id"] == "1"


def test_abandoned_feeds_do_not_use_up_the_connections(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", FEED, Stream([event(1)]))

    for _ in range(120):
        next(client.messages())


def test_events_and_followed_logs_are_plain_objects(daemon: Daemon, client: toq.Client) -> None:
    happened = 'id: 7\ndata: {"type": "message.delivered", "id": "m1"}\n\n'
    daemon.on("GET", "/v1/events", Stream([happened], "cut"), Stream([happened, happened.replace("7", "8", 1)]))
    daemon.on("GET", "/v1/logs", Stream(['data: {"level": "warn"}\n\n'], "cut"))

    assert [item["id"] for item in islice(client.events(since=6), 2)] == ["m1", "m1"]
    lines = client.logs(follow=True)
    assert next(lines) == {"level": "warn"}
    with pytest.raises(toq.ConnectionLost):
        next(lines)

    async def follow() -> Any:
        async with async_client(daemon) as client:
            lines = await client.logs(follow=True)
            return await lines.__anext__()

    assert asyncio.run(follow()) == {"level": "warn"}
