"""What each method puts on the wire and makes of the answer."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from conftest import async_client
from scripted import Answer, Daemon, Reset, Stream, event

import toq
from toq import _calls
from toq._admin import Admin, Method

SENT = {"id": "m9", "status": "delivered", "thread_id": "t1", "timestamp": "2026-11-21T01:19:50Z"}


def test_send_waits_by_default_and_sends_only_what_is_set(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("POST", "/v1/messages", Answer(SENT))

    client.send("toq://localhost/bob", "hi")
    client.send(["toq://localhost/bob"], "bye", thread_id="t1", reply_to="m1", close_thread=True, wait=False)
    client.send("toq://localhost/bob", "what?", wait="reply", timeout=90)

    first, second, third = daemon.seen
    assert first.query == {"wait": "true", "timeout": "30"}
    assert first.body == {"to": "toq://localhost/bob", "body": {"text": "hi"}}
    assert second.query["wait"] == "false"
    assert second.body == {
        "to": ["toq://localhost/bob"],
        "body": {"text": "bye"},
        "thread_id": "t1",
        "reply_to": "m1",
        "close_thread": True,
    }
    assert third.query == {"wait": "reply", "timeout": "90"}


def test_a_file_is_named_by_its_absolute_path(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("POST", "/v1/files", Answer(SENT))
    daemon.on("GET", "/v1/files", Answer({"files": [{"sha256": "ab", "name": "../x"}]}))

    assert client.send_file("toq://localhost/bob", Path("report.pdf"), name="r.pdf") == SENT
    assert client.files() == [{"sha256": "ab", "name": "../x"}]

    sent = daemon.seen[0]
    assert sent.query == {"wait": "true", "timeout": "300"}
    assert sent.body == {"to": "toq://localhost/bob", "path": str(Path("report.pdf").absolute()), "name": "r.pdf"}


def test_the_daemon_gets_to_answer_before_http_gives_up() -> None:
    for timeout in (0, 30, 300):
        call = _calls.send("a", "b", None, None, False, True, timeout, None)
        assert call.read_timeout >= timeout + 10


def test_a_misspelt_wait_is_refused(client: toq.Client) -> None:
    with pytest.raises(toq.ToqError, match="wait"):
        client.send("toq://localhost/bob", "hi", wait="replay")  # type: ignore[arg-type]


def test_a_reset_connection_is_tried_once_more_with_the_same_key(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("POST", "/v1/messages", Reset(), Answer(SENT), Answer(SENT), Reset())

    assert client.send("toq://localhost/bob", "hi") == SENT
    client.send("toq://localhost/bob", "hi", idempotency_key="mine")
    with pytest.raises(toq.ConnectionLost):
        client.send("toq://localhost/bob", "hi")

    keys = [seen.headers["idempotency-key"] for seen in daemon.seen]
    assert keys[0] == keys[1]
    assert keys[2] == "mine"
    assert keys[3] == keys[4] != keys[0]
    assert len(keys) == 5


def test_the_async_client_retries_alike(daemon: Daemon) -> None:
    daemon.on("POST", "/v1/messages", Reset(), Answer(SENT))

    async def send() -> Any:
        async with async_client(daemon) as client:
            return await client.send("toq://localhost/bob", "hi")

    assert asyncio.run(send()) == SENT
    first, second = daemon.seen
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_reply_goes_to_the_sender_on_the_same_thread(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("POST", "/v1/messages", Answer(SENT)).on("GET", "/v1/messages", Stream([event(1)]))

    async def answer() -> Any:
        async with async_client(daemon) as client:
            async for message in client.messages():
                return await message.reply("got it")

    assert next(client.messages()).reply("got it", wait=False, close_thread=True) == SENT
    assert asyncio.run(answer()) == SENT

    first, second = daemon.to("/v1/messages")[1], daemon.to("/v1/messages")[3]
    expected = {"to": "toq://localhost:1/bob", "body": {"text": "got it"}, "thread_id": "t1", "reply_to": "m1"}
    assert second.body == expected
    assert first.body == {**expected, "close_thread": True}
    assert first.query["wait"] == "false"


def test_a_message_shows_its_text_whatever_its_shape() -> None:
    def text(body: Any) -> str:
        return toq.Message("m1", "message.send", "toq://localhost/bob", body).text

    assert text({"text": "plain"}) == "plain"
    assert text({"data": {"text": "chunk"}, "stream_id": "s1"}) == "chunk"
    assert text({"text": "all of it", "data": {"text": "last"}}) == "all of it"
    assert text("bare") == "bare"
    assert [text(body) for body in (None, 7, {}, {"data": 1}, {"text": 1})] == [""] * 5


def test_a_message_of_no_client_cannot_reply_or_confirm(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", "/v1/messages", Stream([event(1)]))
    loose = toq.Message("m1", "message.send", "toq://localhost/bob")

    for attempt in (lambda: loose.reply("x"), loose.confirm, next(client.messages()).confirm):
        with pytest.raises(toq.ToqError):
            attempt()


def test_confirm_takes_ids_places_or_a_position(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("POST", "/v1/consumers/w/confirm", Answer({"consumer": "w", "low_water": 4, "confirmed": 2}))

    client.confirm("w", ids=["m1", "m2"])
    client.confirm("w", seqs=[3, 5])
    client.confirm("w", up_to=4)

    assert [seen.body for seen in daemon.seen] == [{"ids": ["m1", "m2"]}, {"seqs": [3, 5]}, {"up_to": 4}]
    for wrong in ({}, {"ids": ["m1"], "up_to": 1}, {"ids": ["m1"], "seqs": [1]}, {"ids": "m1"}):
        with pytest.raises(toq.ToqError):
            client.confirm("w", **wrong)


def test_a_stream_block_writes_and_ends(daemon: Daemon, client: toq.Client) -> None:
    started = Answer({"stream_id": "s1", "thread_id": "t1"})
    daemon.on("POST", "/v1/stream/start", started)
    daemon.on("POST", "/v1/stream/chunk", Answer({"chunk_id": "c1"}))
    daemon.on("POST", "/v1/stream/end", Answer({"chunk_id": "c2"}))

    with client.stream("toq://localhost/bob", close_thread=True) as stream:
        stream.write("Here is ")
        stream.write("text.")

    assert (stream.stream_id, stream.thread_id) == ("s1", "t1")
    assert [seen.body for seen in daemon.seen] == [
        {"to": "toq://localhost/bob"},
        {"stream_id": "s1", "text": "Here is "},
        {"stream_id": "s1", "text": "text."},
        {"stream_id": "s1", "close_thread": True},
    ]
    with pytest.raises(toq.ToqError, match="not open"):
        stream.write("more")


def test_a_stream_block_left_by_an_exception_does_not_look_finished(daemon: Daemon) -> None:
    daemon.on("POST", "/v1/stream/start", Answer({"stream_id": "s1", "thread_id": "t1"}))
    daemon.on("POST", "/v1/stream/end", Answer({"chunk_id": "c2"}))

    async def write() -> None:
        async with async_client(daemon) as client, client.stream("toq://localhost/bob"):
            raise RuntimeError("the model gave up")

    with pytest.raises(RuntimeError):
        asyncio.run(write())
    with pytest.raises(RuntimeError), toq.connect(daemon.url) as client, client.stream("toq://localhost/bob"):
        raise RuntimeError("the model gave up")

    assert daemon.to("/v1/stream/end") == []


def test_history_is_a_list_and_its_pages_follow_the_cursor(daemon: Daemon, client: toq.Client) -> None:
    newer, older = {"messages": [{"id": "m2"}], "next_cursor": "c1"}, {"messages": [{"id": "m1"}]}
    daemon.on("GET", "/v1/messages/history", Answer(newer), Answer(newer), Answer(older))

    async def pages() -> list[Any]:
        async with async_client(daemon) as client:
            return [page async for page in client.history_pages(1)]

    assert client.history(limit=10, from_addr="bob", since="2026-01-01T00:00:00Z", outgoing=True) == [{"id": "m2"}]
    assert list(client.history_pages(1)) == [[{"id": "m2"}], [{"id": "m1"}]]
    daemon.on("GET", "/v1/messages/history", Answer(newer), Answer(older))
    assert asyncio.run(pages()) == [[{"id": "m2"}], [{"id": "m1"}]]

    assert daemon.seen[0].query == {
        "limit": "10",
        "from": "bob",
        "since": "2026-01-01T00:00:00Z",
        "outgoing": "true",
    }
    assert daemon.seen[2].query == {"limit": "1", "cursor": "c1"}


KEY = "ed25519:a/b+c="
ROUTES = [
    ("peers", (), {}, "GET", "/v1/peers", None, {"peers": [1]}, [1]),
    ("block", (KEY,), {}, "POST", "/v1/block", {"key": KEY}, None, None),
    ("block", (), {"from_addr": "toq://evil.com/*"}, "POST", "/v1/block", {"from": "toq://evil.com/*"}, None, None),
    ("unblock", (), {"key": KEY}, "DELETE", "/v1/block", {"key": KEY}, None, None),
    ("approvals", (), {}, "GET", "/v1/approvals", None, {"approvals": []}, []),
    ("approve", ("a/b",), {}, "POST", "/v1/approvals/a%2Fb", {"decision": "approve"}, None, None),
    ("approve", (), {"key": KEY}, "POST", "/v1/approve", {"key": KEY}, None, None),
    ("deny", ("a/b",), {}, "POST", "/v1/approvals/a%2Fb", {"decision": "deny"}, None, None),
    ("revoke", ("a/b",), {}, "POST", "/v1/approvals/a%2Fb/revoke", None, None, None),
    ("revoke", (), {"from_addr": "*"}, "POST", "/v1/revoke", {"from": "*"}, None, None),
    ("permissions", (), {}, "GET", "/v1/permissions", None, {"approved": []}, {"approved": []}),
    (
        "ping",
        ("toq://h/a",),
        {},
        "POST",
        "/v1/ping",
        {"address": "toq://h/a"},
        {"reachable": True},
        {"reachable": True},
    ),
    ("discover", ("example.com",), {}, "GET", "/v1/discover", None, {"agents": []}, []),
    ("discover_local", (), {}, "GET", "/v1/discover/local", None, {"agents": []}, []),
    ("connections", (), {}, "GET", "/v1/connections", None, {"connections": []}, []),
    ("health", (), {}, "GET", "/v1/health", None, "ok", "ok"),
    ("status", (), {}, "GET", "/v1/status", None, {"status": "running"}, {"status": "running"}),
    ("tree", (), {}, "GET", "/v1/tree", None, {"name": "host"}, {"name": "host"}),
    ("shutdown", (), {}, "POST", "/v1/daemon/shutdown", {"graceful": True}, None, None),
    ("logs", (), {}, "GET", "/v1/logs", None, {"entries": []}, []),
    ("clear_logs", (), {}, "DELETE", "/v1/logs", None, None, None),
    ("diagnostics", (), {}, "GET", "/v1/diagnostics", None, {"issues": 0}, {"issues": 0}),
    ("check_upgrade", (), {}, "GET", "/v1/upgrade/check", None, {"up_to_date": True}, {"up_to_date": True}),
    ("rotate_keys", (), {}, "POST", "/v1/keys/rotate", None, {"x": 1}, {"x": 1}),
    ("export_backup", ("p",), {}, "POST", "/v1/backup/export", {"passphrase": "p"}, {"data": "d"}, "d"),
    ("import_backup", ("p", "d"), {}, "POST", "/v1/backup/import", {"passphrase": "p", "data": "d"}, None, None),
    ("config", (), {}, "GET", "/v1/config", None, {"config": {"port": 1}}, {"port": 1}),
    (
        "update_config",
        (),
        {"log_level": "debug"},
        "PATCH",
        "/v1/config",
        {"log_level": "debug"},
        {"config": {"port": 1}, "needs_restart": ["port"]},
        {"port": 1},
    ),
    ("card", (), {}, "GET", "/v1/card", None, {"name": "alice"}, {"name": "alice"}),
    ("handlers", (), {}, "GET", "/v1/handlers", None, {"handlers": []}, []),
    (
        "add_handler",
        ("l", "echo"),
        {},
        "POST",
        "/v1/handlers",
        {"name": "l", "command": "echo"},
        {"name": "l"},
        {"name": "l"},
    ),
    (
        "add_handler",
        ("chat",),
        {"provider": "openai", "model": "m", "prompt": "Be", "max_turns": 0, "filter_from": "toq://h/*"},
        "POST",
        "/v1/handlers",
        {
            "name": "chat",
            "provider": "openai",
            "model": "m",
            "prompt": "Be",
            "max_turns": 0,
            "filter_from": ["toq://h/*"],
        },
        {},
        {},
    ),
    ("update_handler", ("a/b",), {"enabled": False}, "PUT", "/v1/handlers/a%2Fb", {"enabled": False}, {}, {}),
    ("pause_handler", ("a b",), {}, "POST", "/v1/handlers/a%20b/pause", None, {}, {}),
    ("resume_handler", ("a b",), {}, "POST", "/v1/handlers/a%20b/resume", None, {}, {}),
    ("remove_handler", ("a b",), {}, "DELETE", "/v1/handlers/a%20b", None, {}, {}),
    (
        "stop_handler",
        ("l",),
        {"pid": 7},
        "POST",
        "/v1/handlers/stop",
        {"name": "l", "pid": 7},
        {"stopped": 1},
        {"stopped": 1},
    ),
    ("handler", ("l",), {}, "GET", "/v1/handlers/l", None, {"name": "l"}, {"name": "l"}),
    ("set_aside", ("l",), {}, "GET", "/v1/handlers/l/set-aside", None, {"messages": []}, []),
    ("retry_handler", ("l",), {}, "POST", "/v1/handlers/l/retry", {}, {"retried": 2}, {"retried": 2}),
    (
        "retry_handler",
        ("l", "m1"),
        {},
        "POST",
        "/v1/handlers/l/retry",
        {"ids": ["m1"]},
        {"retried": 1},
        {"retried": 1},
    ),
    ("audit", (), {"after": 3}, "GET", "/v1/audit", None, {"records": []}, []),
    ("verify_audit", (), {"head": "1:ab"}, "GET", "/v1/audit/verify", None, {"ok": True}, {"ok": True}),
    ("delete_file", ("ab",), {}, "DELETE", "/v1/files/ab", None, {"sha256": "ab"}, {"sha256": "ab"}),
    ("threads", (), {}, "GET", "/v1/threads", None, {"threads": []}, []),
    ("get_thread", ("a/../b",), {}, "GET", "/v1/threads/a%2F..%2Fb", None, {"messages": []}, {"messages": []}),
    ("message", ("m1",), {}, "GET", "/v1/messages/m1", None, {"state": "delivered"}, {"state": "delivered"}),
    ("consumers", (), {}, "GET", "/v1/consumers", None, {"consumers": []}, []),
    ("consumer", ("w",), {}, "GET", "/v1/consumers/w", None, {"name": "w"}, {"name": "w"}),
    ("remove_consumer", ("w",), {}, "DELETE", "/v1/consumers/w", None, None, None),
    ("stream_start", ("toq://h/a",), {}, "POST", "/v1/stream/start", {"to": "toq://h/a"}, {}, {}),
    ("stream_end", ("s",), {"text": "."}, "POST", "/v1/stream/end", {"stream_id": "s", "text": "."}, {}, {}),
]


@pytest.mark.parametrize("route", ROUTES, ids=[f"{route[0]}-{n}" for n, route in enumerate(ROUTES)])
def test_every_method_of_both_clients_calls_its_route(daemon: Daemon, client: toq.Client, route: Any) -> None:
    name, args, options, method, path, body, answer, result = route
    daemon.on(method, path, Answer(answer))

    async def call() -> Any:
        async with async_client(daemon) as client:
            return await getattr(client, name)(*args, **options)

    assert getattr(client, name)(*args, **options) == result
    assert asyncio.run(call()) == result
    assert [seen.body for seen in daemon.seen] == [body, body]


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def surface(kind: type) -> dict[str, Any]:
        methods = {
            name: member
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }
        return {name: _parameters(member) for name, member in methods.items()}

    assert surface(toq.Client) == surface(toq.AsyncClient)
    assert _parameters(toq.connect) == _parameters(toq.connect_async)


def test_only_what_iterates_or_builds_is_not_a_coroutine() -> None:
    plain = {
        name
        for name, member in inspect.getmembers(toq.AsyncClient, inspect.isfunction)
        if not name.startswith("_") and not inspect.iscoroutinefunction(member)
    }

    assert plain == {"messages", "events", "history_pages", "stream"}


def test_a_method_that_is_written_once_is_one_of_each_client(daemon: Daemon, client: toq.Client) -> None:
    names = [name for name, member in vars(Admin).items() if isinstance(member, Method)]
    other = async_client(daemon)

    for name in names:
        blocking, awaiting = getattr(client, name), getattr(other, name)
        assert not inspect.iscoroutinefunction(blocking) and inspect.iscoroutinefunction(awaiting), name
        assert inspect.signature(blocking) == inspect.signature(awaiting), name
        assert blocking.__doc__ and blocking.__name__ == name
    assert len(names) == 40
    asyncio.run(other.close())


def test_a_clients_class_can_be_called_and_imitated_as_any_other(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("GET", "/v1/status", Answer({"status": "running"}))
    daemon.on("POST", "/v1/block", Answer({}))

    class Own(toq.Client):
        def block(self, public_key: str = "", *, key: str = "", from_addr: str = "") -> None:
            super().block(public_key or "k", key=key, from_addr=from_addr)

    assert toq.Client.status(client)["status"] == "running"
    with Own(client.base_url) as own:
        own.block()
    assert Own.status is toq.Client.status
    double = create_autospec(toq.Client, instance=True)
    asynchronous = create_autospec(toq.AsyncClient, instance=True)
    double.block("k")
    double.block.assert_called_once_with("k")
    create_autospec(toq.Client).block("k")
    assert inspect.iscoroutine(coroutine := asynchronous.block("k"))
    asyncio.run(coroutine)
    with pytest.raises(TypeError):
        double.block("k", nobody="x")


@pytest.mark.parametrize("verb", ["approve", "deny", "revoke", "block", "unblock"])
def test_a_rule_about_nobody_says_how_somebody_is_named(client: toq.Client, verb: str) -> None:
    with pytest.raises(toq.ToqError, match=f"^{verb} needs to be told whom") as told:
        getattr(client, verb)(*([""] if verb == "deny" else []))

    assert ("approvals()" in str(told.value)) == (verb in ("approve", "deny", "revoke"))
    assert ("from_addr" in str(told.value)) == (verb != "deny")


def _parameters(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def test_changed_settings_say_which_of_them_wait_for_a_restart(daemon: Daemon, client: toq.Client) -> None:
    daemon.on("PATCH", "/v1/config", Answer({"config": {"port": 1}, "needs_restart": ["port"]}))

    assert client.update_config(port=1).needs_restart == ["port"]
