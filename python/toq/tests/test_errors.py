from __future__ import annotations

import asyncio
import pickle

import httpx
import httpx_sse
import pytest
from conftest import async_client
from scripted import Answer, Daemon, Reset, Stream, error

import toq

CODES = [
    ("delivery_timeout", 504, toq.DeliveryTimeout),
    ("idempotency_conflict", 409, toq.IdempotencyConflict),
    ("invalid_address", 400, toq.InvalidAddress),
    ("invalid_config", 400, toq.InvalidConfig),
    ("invalid_passphrase", 400, toq.InvalidPassphrase),
    ("invalid_request", 400, toq.InvalidRequest),
    ("message_too_large", 413, toq.MessageTooLarge),
    ("not_found", 404, toq.NotFound),
    ("not_implemented", 501, toq.NotImplementedYet),
    ("not_reachable", 502, toq.NotReachable),
    ("rejected", 502, toq.Rejected),
    ("reply_timeout", 504, toq.ReplyTimeout),
    ("storage_full", 507, toq.StorageFull),
    ("unavailable", 503, toq.Unavailable),
    ("something_new", 500, toq.ApiError),
]


@pytest.mark.parametrize(("code", "status", "kind"), CODES)
def test_every_code_has_its_exception(
    daemon: Daemon, client: toq.Client, code: str, status: int, kind: type[toq.ApiError]
) -> None:
    daemon.on("POST", "/v1/messages", error(code, status, hint="do this", id="m1", state="accepted"))

    with pytest.raises(toq.ToqError) as caught:
        client.send("toq://localhost/bob", "hi")

    failure = caught.value
    assert type(failure) is kind
    assert isinstance(failure, httpx.HTTPStatusError)
    assert (failure.code, failure.status, failure.response.status_code) == (code, status, status)
    assert (failure.message, failure.hint) == (f"it said {code}", "do this")
    assert (failure.message_id, failure.state) == ("m1", "accepted")
    assert str(failure) == f"it said {code} (do this)"
    assert pickle.loads(pickle.dumps(failure)).code == code


def test_a_text_error_of_an_older_daemon_is_classified_by_status(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", "/v1/status", Answer("Failed to parse", 422))
    daemon.on("GET", "/v1/tree", Answer(None, 404))

    with pytest.raises(toq.InvalidRequest, match="Failed to parse"):
        client.status()
    with pytest.raises(toq.NotFound, match="/v1/tree"):
        client.tree()


def test_unavailable_tells_when_to_retry(daemon: Daemon, client: toq.Client) -> None:
    busy = error("unavailable", 503)
    busy.headers["retry-after"] = "7"
    daemon.on("GET", "/v1/status", busy)

    with pytest.raises(toq.Unavailable) as caught:
        client.status()

    assert caught.value.retry_after == 7


def test_a_missing_daemon_is_reported_everywhere_alike(client: toq.Client, daemon: Daemon) -> None:
    daemon.stop()

    async def listen() -> None:
        async with async_client(daemon) as client:
            async for _ in client.messages():
                pass

    for attempt in (client.status, lambda: next(client.messages()), lambda: asyncio.run(listen())):
        with pytest.raises(toq.DaemonNotRunning, match="toq up") as caught:
            attempt()
        assert isinstance(caught.value, toq.ToqError)
        assert isinstance(caught.value, httpx.ConnectError)


def test_a_call_that_may_not_be_repeated_reports_the_lost_connection(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("POST", "/v1/stream/chunk", Reset())

    with pytest.raises(toq.ConnectionLost) as caught:
        client.stream_chunk("s1", "text")

    assert isinstance(caught.value, (httpx.ReadError, httpx.RemoteProtocolError))
    assert len(daemon.seen) == 1


def test_a_silent_daemon_is_a_timeout(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", "/v1/status", Stream([], "hold"))
    client._transport._http.timeout = httpx.Timeout(0.05)

    with pytest.raises(toq.RequestTimeout) as caught:
        client.status()

    assert isinstance(caught.value, httpx.ReadTimeout)


def test_an_answer_without_the_promised_field_is_reported(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", "/v1/peers", Answer({"friends": []}))
    daemon.on("GET", "/v1/status", Answer("fine"))

    with pytest.raises(toq.UnexpectedAnswer, match="'peers'") as caught:
        client.peers()
    assert isinstance(caught.value, KeyError)
    with pytest.raises(toq.UnexpectedAnswer, match="not JSON"):
        client.status()


def test_a_stream_of_the_wrong_type_is_reported(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", "/v1/messages", Answer({"messages": []}))

    with pytest.raises(toq.NotAnEventStream) as caught:
        next(client.messages())

    assert isinstance(caught.value, httpx_sse.SSEError)


def test_blocking_nobody_is_an_error(client: toq.Client, daemon: Daemon) -> None:
    for attempt in (client.block, client.unblock, client.approve, client.revoke):
        with pytest.raises(toq.ToqError):
            attempt()

    assert daemon.seen == []
