from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import Relay


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A setting or a home of the caller's must not find its way into a test."""
    for name in ("RELAY", "API_KEY", "API_URL", "DATA_DIR", "MOCK", "IDENTITY"):
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
