from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import Daemon

import toq


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    yield daemon
    daemon.stop()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[toq.Client]:
    """A client that reconnects at once; the delays it wanted are in `client.delays`."""
    with toq.connect(daemon.url) as client:
        client.delays = []
        client._transport.pause = client.delays.append
        yield client


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and home without any daemon in them."""
    monkeypatch.delenv("TOQ_URL", raising=False)
    monkeypatch.delenv("TOQ_TOKEN", raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def async_client(daemon: Daemon) -> toq.AsyncClient:
    """Returns an async client that reconnects at once; the delays it wanted are in `client.delays`."""
    client = toq.connect_async(daemon.url)
    client.delays = []

    async def pause(seconds: float) -> None:
        client.delays.append(seconds)

    client._transport.pause = pause
    return client
