"""One toq daemon, ours or the published one, in a workspace of its own.

Both binaries are driven by the same commands and files; a difference that needs an `if` here is an incompatibility.
"""

import os
import socket
import subprocess
import time
from pathlib import Path

import httpx

START_DEADLINE = 15.0
STOP_DEADLINE = 10.0


def until(question, deadline=15.0, every=0.02, what="condition"):
    """Asks until the answer is truthy and returns it; fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"gave up after {deadline} s waiting for {what}"
        time.sleep(every)


def rules(listed: list[dict]) -> list[tuple]:
    """What rules say, whatever else a daemon tells of those whom they are about."""
    return [(rule["type"], rule["value"]) for rule in listed]


def free_port() -> int:
    """Finds a port below the ephemeral range, so that no outgoing connection can sit on it during a restart."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no free port below the ephemeral range")


_given: set[int] = set()


class Daemon:
    """A running daemon and an HTTP client for its local API."""

    def __init__(self, binary: str, root: Path, name: str, mode: str = "open"):
        self.binary, self.name, self.mode = binary, name, mode
        self.workspace = root / name
        self.workspace.mkdir(parents=True)
        self.log = self.workspace / "output.log"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.workspace)}
        self.port = free_port()
        self.command("init", "--name", name, "--host", "127.0.0.1", "--port", str(self.port))
        self.configure("connection_mode", mode)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"toq://127.0.0.1:{self.port}/{self.name}"

    @property
    def key(self) -> str:
        return self.get("/v1/status")["public_key"]

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.binary, *arguments], cwd=self.workspace, env=self.env, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, f"toq {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def configure(self, key: str, value: str) -> None:
        """Edits the file, because the published `config set` refuses to work before the first start."""
        file = self.workspace / ".toq" / "config.toml"
        kept = [line for line in file.read_text().splitlines() if not line.startswith(f"{key} =")]
        # Ahead of everything else, where it cannot fall into a table.
        file.write_text("\n".join([f'{key} = "{value}"', *kept, ""]))

    def start(self) -> None:
        self.http = httpx.Client(
            base_url=self.url,
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [self.binary, "up", "--foreground"],
                cwd=self.workspace,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        until(self.is_ready, START_DEADLINE, what=f"{self.name} to answer /v1/health")

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"{self.name} exited with {self.process.returncode}: {self.output()}"
        try:
            return self.http.get("/v1/health").status_code == 200
        except httpx.TransportError:
            return False

    def restart(self, binary: str | None = None, mode: str | None = None) -> None:
        """Ends the daemon and starts it again in the same workspace, perhaps with another binary."""
        self.end()
        self.binary = binary or self.binary
        if mode:
            self.configure("connection_mode", mode)
        self.start()

    def stop(self) -> None:
        self.end()
        # Only shown by pytest when the test failed.
        print(f"--- output of {self.name} ---\n{self.output()}")

    def end(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def output(self) -> str:
        return self.log.read_text(errors="replace")[-8000:]

    def get(self, path: str, **params) -> dict:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: dict | None = None, expect: int = 200, **params) -> dict:
        answer = self.http.post(path, json=body, params=params)
        assert answer.status_code == expect, f"POST {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def send(self, to: str, text: str, expect: int = 200, wait: str = "true", timeout: int = 30, **fields) -> dict:
        """Sends one message and returns the JSON answer, whichever status was expected."""
        body = {"to": to, "body": {"text": text}, **fields}
        return self.post("/v1/messages", body, expect, wait=wait, timeout=timeout)

    def history(self, limit: int = 1000) -> list[dict]:
        return self.get("/v1/messages/history", limit=limit)["messages"]
