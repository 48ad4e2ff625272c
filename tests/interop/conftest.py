"""Builds pairs of daemons: one of ours and one published, either of them the sender."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import toq

from daemon import Daemon
from events import Listener
from skytale import Member, Relay, makes

OURS, PUBLISHED = "ours", "published"


def pytest_configure(config):
    if not os.environ.get("TOQ_INTEROP_NETNS"):
        raise pytest.UsageError("start these tests with tests/interop/run.sh: they need a private network namespace")


@dataclass
class Pair:
    """alice sends, bob receives; which of the two is ours depends on the direction."""

    alice: Daemon
    bob: Daemon

    def listen(self, **params) -> Listener:
        return Listener(self.bob, **params)


@pytest.fixture
def house(tmp_path: Path):
    """Starts daemons on request and stops them afterwards: `house("ours", "alice", mode="approval")`."""
    running: list[Daemon] = []
    binaries = {OURS: os.environ["TOQ_BIN"], PUBLISHED: os.environ["PUBLISHED_TOQ_BIN"]}

    def start(make: str, name: str, mode: str = "open") -> Daemon:
        running.append(Daemon(binaries[make], tmp_path, name, mode))
        return running[-1]

    yield start
    for daemon in running:
        daemon.stop()


@pytest.fixture(params=["ours-to-published", "published-to-ours"])
def pair(request, house) -> Pair:
    """Both directions, both daemons open to everyone."""
    sender, receiver = request.param.split("-to-")
    return Pair(alice=house(sender, "alice"), bob=house(receiver, "bob"))


@pytest.fixture
def outgoing(house) -> Pair:
    """Ours sends, the published daemon receives."""
    return Pair(alice=house(OURS, "alice"), bob=house(PUBLISHED, "bob"))


@pytest.fixture
def incoming(house) -> Pair:
    """The published daemon sends, ours receives."""
    return Pair(alice=house(PUBLISHED, "alice"), bob=house(OURS, "bob"))


@pytest.fixture
def ours(house) -> Daemon:
    """Our daemon, the one the published Python client talks to."""
    return house(OURS, "alice")


@pytest.fixture
def peer(house) -> Daemon:
    """The published daemon on the other side of that client's messages."""
    return house(PUBLISHED, "bob")


@pytest.fixture
def client(ours):
    with toq.connect(ours.url) as client:
        yield client


@pytest.fixture
def relay(tmp_path):
    """A relay of ours that lets everybody in."""
    relay = Relay(os.environ["TOQ_BIN"], tmp_path / "relay")
    yield relay
    relay.stop()


@pytest.fixture
def member(relay, tmp_path):
    """Starts members of channels: `member("0.3.0", "alice")`; `padding=True` for one of ours that pads."""
    running: list[Member] = []

    def start(make: str, name: str, **more) -> Member:
        home = tmp_path / name
        home.mkdir()
        running.append(Member(makes()[make], relay.grpc, home / "state", name.encode(), **more))
        return running[-1]

    yield start
    for one in running:
        one.stop()
