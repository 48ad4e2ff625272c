from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay import Relay
from skytale_sdk import SkytaleClient


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A setting or a home of the caller's must not find its way into a test."""
    for name in ("RELAY", "API_KEY", "API_URL", "DATA_DIR", "MOCK", "IDENTITY", "PASSPHRASE"):
        monkeypatch.delenv(f"SKYTALE_{name}", raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def group(request: pytest.FixtureRequest) -> str:
    """A group of mock clients that no other test can reach."""
    return str(request.node.name)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A running relay with its API server, as an operator starts it."""
    relay = Relay(tmp_path / "relay")
    yield relay
    relay.stop()


@pytest.fixture
def anonymous(tmp_path: Path) -> Iterator[Relay]:
    """A running relay that asks nobody for a token."""
    relay = Relay(tmp_path / "anonymous", "--anonymous")
    yield relay
    relay.stop()


@pytest.fixture
def client(relay: Relay, tmp_path: Path) -> Iterator[Callable[..., SkytaleClient]]:
    """`client("alice")` opens a client on the directory of that name; again, after it was closed."""
    running = []

    def start(name: str, **more: Any) -> SkytaleClient:
        arguments = {"api_key": relay.key, "api_url": relay.api_url, **more}
        running.append(SkytaleClient(relay.endpoint, str(tmp_path / name), name.encode(), **arguments))
        return running[-1]

    yield start
    for one in running:
        one.close(0)
