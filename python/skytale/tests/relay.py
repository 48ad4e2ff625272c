"""`toq relay up` for tests: on free ports, stopped, killed and started again as the test wants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

PATIENCE = 30.0


class Relay:
    def __init__(self, root: Path, *options: str, settings: str = "") -> None:
        self.root = root
        root.mkdir()
        self.binary = os.environ["TOQ_BIN"]
        self.options = options
        self.ids: dict[str, str] = {}
        self.grpc, self.api = "127.0.0.1:0", "127.0.0.1:0"
        if settings:
            (root / "state").mkdir(mode=0o700)
            (root / "state" / "relay.toml").write_text(settings)
        self.up()
        self.key = self.new_key()

    @property
    def endpoint(self) -> str:
        return f"{self.schemes['members']}://{self.grpc}"

    @property
    def api_url(self) -> str:
        return f"{self.schemes['API']}://{self.api}"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in order to find this relay by itself."""
        return {"SKYTALE_RELAY": self.endpoint, "SKYTALE_API_URL": self.api_url, "SKYTALE_API_KEY": self.key}

    def up(self) -> None:
        """Starts it; the second time on the ports of the first."""
        words = ["relay", "up", "--foreground", "--grpc", self.grpc, "--api", self.api, *self.options, *self._data]
        self.process = subprocess.Popen(
            [self.binary, *words],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self.process.stderr is not None
        said, found, self.schemes = [], {}, {}
        for line in self.process.stderr:
            said.append(line)
            name, _, url = line.strip().partition(": ")
            if name in ("members", "API"):
                self.schemes[name], _, found[name] = url.strip().partition("://")
            if len(found) == 2:
                break
        assert len(found) == 2, f"the relay ended with {self.process.wait()}: {''.join(said)}"
        self.grpc, self.api = found["members"], found["API"]
        self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reader.start()

    def new_key(self) -> str:
        made = json.loads(self.toq("relay", "key", "create", *self._data, "--json"))
        self.ids[made["key"]] = made["id"]
        return str(made["key"])

    def revoke(self, key: str) -> None:
        self.toq("relay", "key", "revoke", self.ids[key], *self._data)

    def toq(self, *words: str) -> str:
        done = subprocess.run([self.binary, *words], env=self._env, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"toq {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()

    @property
    def _data(self) -> list[str]:
        return ["--data", str(self.root / "state")]

    @property
    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.root)}


def run(program: str, relay: Relay, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program as a user of this relay would, with `tmp_path` as home."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **relay.environment}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
