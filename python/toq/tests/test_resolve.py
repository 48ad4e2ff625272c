from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import Answer, Daemon, Stream, event

import toq


def write_state(folder: Path, state: object) -> Path:
    (folder / ".toq").mkdir(exist_ok=True)
    file = folder / ".toq" / "state.json"
    file.write_text(state if isinstance(state, str) else json.dumps(state))
    return file


def test_sources_are_tried_in_the_documented_order(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toq.connect().base_url == "http://127.0.0.1:9009"

    write_state(nowhere / "home", {"port": 1111})
    assert toq.connect().base_url == "http://127.0.0.1:1111"

    write_state(nowhere / "work", {"port": 2222})
    assert toq.connect().base_url == "http://127.0.0.1:2222"

    monkeypatch.setenv("TOQ_URL", "http://localhost:3333/")
    assert toq.connect().base_url == "http://localhost:3333"

    assert toq.connect("https://example.com/agents/alice/").base_url == "https://example.com/agents/alice"
    assert toq.connect_async("http://[::1]:4444").base_url == "http://[::1]:4444"


@pytest.mark.parametrize("state", ["{", "[]", '{"port": 0}', '{"port": "9"}', '{"port": true}', '{"port": 70000}'])
def test_a_state_file_without_a_port_is_passed_over(nowhere: Path, state: str) -> None:
    write_state(nowhere / "work", state)

    assert toq.connect().base_url == "http://127.0.0.1:9009"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://127.0.0.1@example.com",
        "http://192.168.1.4:9009",
        "ftp://localhost",
        "localhost:9",
    ],
)
def test_a_url_that_would_leak_messages_or_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(toq.ToqError):
        toq.connect(url)
    with pytest.raises(toq.ToqError):
        toq.AsyncClient(url)


def test_a_refused_url_is_told_to_use_https() -> None:
    with pytest.raises(toq.ToqError, match="https"):
        toq.connect("http://example.com")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_state_file_that_anyone_may_write_is_refused(nowhere: Path) -> None:
    write_state(nowhere / "work", {"port": 2222}).chmod(0o666)

    with pytest.raises(toq.ToqError, match="another user"):
        toq.connect()


def test_loopback_traffic_does_not_go_through_a_proxy(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    daemon.on("GET", "/v1/health", Answer("ok"))

    with toq.connect(daemon.url) as client:
        assert client.health() == "ok"


def test_a_daemon_that_restarted_on_another_port_is_found_again(nowhere: Path, daemon: Daemon) -> None:
    before = Daemon().on("GET", "/v1/health", Answer("ok", headers={"connection": "close"}))
    write_state(nowhere / "work", {"port": before.port})
    daemon.on("GET", "/v1/health", Answer("ok again"))

    with toq.connect() as client:
        assert client.health() == "ok"
        before.stop()
        write_state(nowhere / "work", {"port": daemon.port})

        assert client.health() == "ok again"


def test_a_url_prefix_is_kept(daemon: Daemon) -> None:
    daemon.on("GET", "/agents/alice/v1/health", Answer("ok"))

    with toq.connect(daemon.url + "/agents/alice") as client:
        assert client.health() == "ok"


def test_the_token_is_the_given_one_then_the_environments_then_the_workspaces(
    nowhere: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("GET", "/v1/health", Answer("ok"))
    keys = write_state(nowhere / "work", {"port": daemon.port}).parent / "keys"
    keys.mkdir()

    def shown(token: str | None = None) -> str | None:
        with toq.connect(token=token) as client:
            client.health()
        return daemon.seen[-1].headers.get("authorization")

    assert shown() is None
    (keys / "api.token").write_text("of-the-workspace\n")
    assert shown() == "Bearer of-the-workspace"
    monkeypatch.setenv("TOQ_TOKEN", "of-the-environment")
    assert shown() == "Bearer of-the-environment"
    assert shown("given") == "Bearer given"


def test_a_workspaces_token_is_shown_to_no_other_daemon(nowhere: Path, daemon: Daemon) -> None:
    daemon.on("GET", "/v1/health", Answer("ok"))
    keys = write_state(nowhere / "work", {"port": 1}).parent / "keys"
    keys.mkdir()
    (keys / "api.token").write_text("of-the-workspace")

    with toq.connect(daemon.url) as client:
        client.health()

    assert "authorization" not in daemon.seen[-1].headers


def test_the_async_client_and_the_event_stream_show_the_token(daemon: Daemon) -> None:
    daemon.on("GET", "/v1/health", Answer("ok")).on("GET", "/v1/messages", Stream([event(1)], then="end"))

    async def use() -> None:
        async with toq.connect_async(daemon.url, token="given") as client:
            await client.health()
            async for _ in client.messages():
                break

    asyncio.run(use())
    with toq.Client(daemon.url, token="given") as client:
        next(iter(client.messages()))

    assert {seen.headers.get("authorization") for seen in daemon.seen} == {"Bearer given"}


def test_a_token_that_cannot_stand_in_a_header_is_refused_without_showing_it(nowhere: Path) -> None:
    with pytest.raises(toq.ToqError) as refused:
        toq.connect(token="se\ncret")
    assert "se" not in str(refused.value).split()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to start a program as another user")
def test_the_token_is_not_shown_to_another_user_who_took_the_port_of_a_crashed_daemon(nowhere: Path) -> None:
    serve = (
        "import os, socket; os.setuid(65534); s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
        "s.settimeout(30); c, _ = s.accept(); print(c.recv(65536).decode(), flush=True)"
    )
    squatter = subprocess.Popen([sys.executable, "-c", serve], stdout=subprocess.PIPE, text=True)
    try:
        assert squatter.stdout is not None
        port = int(squatter.stdout.readline())
        state = write_state(nowhere / "work", {"port": port})
        (state.parent / "keys").mkdir()
        (state.parent / "keys" / "api.token").write_text("secret")

        with pytest.raises(toq.ToqError, match="another user's program"):
            toq.connect().status()

        # It hears from whoever speaks to it, so that its silence means something.
        with socket.create_connection(("127.0.0.1", port)) as probe:
            probe.sendall(b"probe")
        assert squatter.stdout.read().strip() == "probe"
    finally:
        squatter.kill()
        squatter.communicate()
