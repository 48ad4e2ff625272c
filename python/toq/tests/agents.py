"""Real daemons for the live tests, each with a workspace and a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toq


@dataclass
class Agent:
    """A workspace with a running daemon."""

    name: str
    workspace: Path
    home: Path

    @classmethod
    def start(cls, root: Path, name: str, mode: str = "open") -> Agent:
        agent = cls(name, root / name / "work", root / name / "home")
        agent.workspace.mkdir(parents=True)
        agent.home.mkdir()
        agent.toq("init", "--name", name, "--port", "0")
        agent.toq("config", "set", "connection_mode", mode)
        agent.toq("up")
        return agent

    def toq(self, *args: str) -> str:
        """Runs the command line in the workspace. Output goes to a file: a daemon would keep a pipe open."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOQ_")}
        log = self.home / "cli.log"
        with log.open("w") as output:
            done = subprocess.run(
                [os.environ["TOQ_BIN"], *args],
                cwd=self.workspace,
                env={**inherited, "HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
            )
        assert done.returncode == 0, f"toq {' '.join(args)}: {log.read_text()}"
        return log.read_text()

    def stop(self) -> None:
        self.toq("down")

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.workspace / ".toq" / "state.json").read_text()))

    @property
    def address(self) -> str:
        return str(self.state["address"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.state['port']}"

    def connect(self) -> toq.Client:
        return toq.connect(self.url)

    def connect_async(self) -> toq.AsyncClient:
        return toq.connect_async(self.url)


@contextmanager
def running(root: Path, name: str, mode: str = "open") -> Iterator[Agent]:
    """A daemon that lives as long as the block."""
    agent = Agent.start(root, name, mode)
    try:
        yield agent
    finally:
        agent.stop()
