"""One of our daemons as a child process that may die at any moment, and blocking JSON calls to its local API."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

# Recovery must need no help and be over in this many seconds.
READY_DEADLINE = 10.0
CALL_TIMEOUT = 15.0
HIT = re.compile(r"crash point hit: ([a-z-]+)")


class Surprise(Exception):
    """The run cannot go on, and the daemon is to blame."""


class Call:
    """A keep-alive connection to a daemon, for one thread."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_TIMEOUT)

    def __call__(self, method: str, path: str, body=None, headers: dict | None = None) -> tuple[int, dict]:
        """Answers status and JSON. Raises ConnectionRefusedError before, any other OSError after the request left."""
        payload = None if body is None else json.dumps(body).encode()
        fields = {"Content-Type": "application/json"} if payload is not None else {}
        try:
            if self._connection.sock is None:
                self._connection.connect()
            self._connection.request(method, path, payload, fields | (headers or {}))
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as died:
            self._connection.close()
            if isinstance(died, OSError):
                raise
            raise ConnectionError(f"{method} {path}: {died!r}") from died
        try:
            return answer.status, json.loads(text) if text else {}
        except ValueError:
            return answer.status, {"text": text.decode(errors="replace")}


class Daemon:
    """Keeps its workspace and its port over all its lives."""

    def __init__(self, binary: str, root: Path, name: str, fault: str | None):
        self.binary, self.name, self.fault = binary, name, fault
        self.workspace = root / name
        self.workspace.mkdir()
        self.log = self.workspace / "output.log"
        self.port = free_port()
        self.up = threading.Event()
        self.process: subprocess.Popen | None = None
        self._log_read = 0
        self._run("init", "--name", name, "--host", "127.0.0.1", "--port", str(self.port))
        config = self.workspace / ".toq" / "config.toml"
        kept = [line for line in config.read_text().splitlines() if not line.startswith("connection_mode =")]
        config.write_text("\n".join(['connection_mode = "open"', *kept, ""]))

    @property
    def address(self) -> str:
        return f"toq://127.0.0.1:{self.port}/{self.name}"

    def start(self, arm: str | None = None) -> bool:
        """Starts the daemon; False when an armed crash point ended it before it was ready."""
        wanted = {"TOQ_CRASH_POINT": arm, "TOQ_FAULT": self.fault}
        env = self._env() | {name: value for name, value in wanted.items() if value}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [self.binary, "up", "--foreground"],
                cwd=self.workspace,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + READY_DEADLINE
        while not self._is_ready():
            if self.process.poll() is not None:
                if arm:
                    return False
                raise Surprise(f"{self.name} exited with {self.process.returncode} instead of starting")
            if time.monotonic() > end:
                raise Surprise(f"{self.name} was not ready {READY_DEADLINE} s after its start")
            self.wait(0.005)
        self.up.set()
        return True

    def kill(self) -> None:
        self.up.clear()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends the daemon the polite way, and the other way if that takes too long."""
        self.up.clear()
        if self.process is None:
            return
        self.process.terminate()
        if not self.wait(10):
            self.kill()

    def wait(self, seconds: float) -> bool:
        """Waits for the process to end by itself; true when it has."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self.up.clear()
        return True

    def hits(self) -> list[str]:
        """Names the crash points logged since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._log_read)
            news = log.read()
        self._log_read += len(news)
        return HIT.findall(news.decode(errors="replace"))

    def call(self) -> Call:
        return Call(self.port)

    def _is_ready(self) -> bool:
        try:
            return self.call()("GET", "/v1/health")[0] == 200
        except OSError:
            return False

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.workspace)}

    def _run(self, *arguments: str) -> None:
        command = [self.binary, *arguments]
        done = subprocess.run(command, cwd=self.workspace, env=self._env(), capture_output=True, text=True)
        if done.returncode != 0:
            raise Surprise(f"toq {' '.join(arguments)}: {done.stdout}{done.stderr}")


def free_port() -> int:
    """Finds a port below the ephemeral range: there no outgoing connection can take it while its daemon is dead."""
    candidates = list(range(20000, 32000))
    random.SystemRandom().shuffle(candidates)
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise Surprise("no free port below the ephemeral range")
