"""Files and handlers that failed, with real daemons; `TOQ_BIN` names the binary."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, running

import toq

pytestmark = pytest.mark.skipif("TOQ_BIN" not in os.environ, reason="TOQ_BIN is not set")


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with running(tmp_path_factory.mktemp("live"), "alice") as alice:
        yield alice


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Takes files, which takes a restart."""
    with running(tmp_path_factory.mktemp("live"), "bob") as bob:
        bob.toq("down")
        bob.toq("config", "set", "accept_files", "true")
        bob.toq("up")
        yield bob


def until(question: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return answer


def report(directory: Path, text: str) -> tuple[Path, str]:
    path = directory / "report.txt"
    path.write_text(text)
    return path, hashlib.sha256(text.encode()).hexdigest()


def test_a_file_is_sent_listed_and_deleted(alice: Agent, bob: Agent, tmp_path: Path) -> None:
    path, sha256 = report(tmp_path, "quarterly figures " * 1000)
    with alice.connect() as client, bob.connect() as other, other.messages() as inbox:
        sent = client.send_file(bob.address, path, name="figures.txt")
        message = next(inbox)

        assert sent["status"] == "delivered"
        assert message.id == sent["id"]
        assert message.body["file"]["sha256"] == sha256
        assert [(file["sha256"], file["name"], file["size"]) for file in other.files()] == [
            (sha256, "figures.txt", path.stat().st_size)
        ]
        assert other.delete_file(sha256) == {"sha256": sha256}
        assert other.files() == []
        with pytest.raises(toq.NotFound):
            other.delete_file(sha256)


def test_a_file_is_sent_and_deleted_by_the_async_client(alice: Agent, bob: Agent, tmp_path: Path) -> None:
    path, sha256 = report(tmp_path, "other figures")

    async def play() -> None:
        async with alice.connect_async() as client, bob.connect_async() as other:
            sent = await client.send_file(bob.address, path)
            assert sent["status"] == "delivered"
            assert [(file["sha256"], file["name"]) for file in await other.files()] == [(sha256, "report.txt")]
            await other.delete_file(sha256)
            assert await other.files() == []

    asyncio.run(play())


def test_an_agent_that_takes_no_files_refuses_with_a_reason(alice: Agent, bob: Agent, tmp_path: Path) -> None:
    path, _ = report(tmp_path, "unwanted")
    with bob.connect() as client, alice.connect() as other:
        with pytest.raises(toq.ApiError, match="file") as refused:
            client.send_file(alice.address, path)

        assert refused.value.code == "rejected"
        assert other.files() == []


def test_what_a_handler_failed_on_is_listed_and_tried_again(alice: Agent, bob: Agent) -> None:
    async def listed() -> list[dict[str, Any]]:
        async with bob.connect_async() as client:
            assert (await client.handler("picky"))["max_attempts"] == 1
            return await client.set_aside("picky")

    with alice.connect() as client, bob.connect() as other:
        other.add_handler("picky", "test -e ok")
        other.update_handler("picky", max_attempts=1)
        sent = [client.send(bob.address, text)["id"] for text in ("one", "two")]
        until(lambda: len(other.set_aside("picky")) == 2)

        (bob.workspace / "ok").touch()
        assert other.retry_handler("picky", sent[0])["retried"] == 1
        until(lambda: [aside["message"]["id"] for aside in other.set_aside("picky")] == sent[1:])
        assert [aside["message"]["id"] for aside in asyncio.run(listed())] == sent[1:]
        assert other.retry_handler("picky")["retried"] == 1
        until(lambda: other.handler("picky")["pending"] == 0 and not other.set_aside("picky"))
        with pytest.raises(toq.NotFound):
            other.retry_handler("picky", sent[0])
