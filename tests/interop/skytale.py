"""A relay of ours and members of any make, each in a process of its own.

A published member holds the interpreter lock while it connects, and does not come back from a relay that goes away: so nothing
here lives in the process of the tests, and nothing is restarted under it.
"""

import json
import os
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 30.0


class Relay:
    """`toq relay up --anonymous` on ports of the system's choice."""

    def __init__(self, binary: str, root: Path):
        root.mkdir(parents=True)
        words = ["relay", "up", "--foreground", "--anonymous", "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [binary, *words, "--data", str(root / "state")],
            env={"PATH": os.environ["PATH"], "HOME": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.said: list[str] = []
        self.grpc, self.api = self._addresses()

    def _addresses(self) -> tuple:
        found = {}
        for line in self.process.stderr:
            self.said.append(line)
            words = line.split()
            if len(words) == 2 and words[0] in ("members:", "API:"):
                found[words[0]] = words[1]
            if len(found) == 2:
                threading.Thread(target=self.said.extend, args=(self.process.stderr,), daemon=True).start()
                return found["members:"], found["API:"]
        raise AssertionError(f"the relay ended with {self.process.wait()}: {''.join(self.said)}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # Only shown by pytest when the test failed.
        print(f"--- output of the relay ---\n{''.join(self.said)[-4000:]}")


class Refused(Exception):
    """What the member's package raised."""

    def __init__(self, answer):
        super().__init__(f"{answer['error']}: {answer['text']}")
        self.name, self.text = answer["error"], answer["text"]


class Member:
    """A `SkytaleClient` in a process of its own."""

    def __init__(self, python: str, endpoint: str, data_dir: Path, identity: bytes, program: str = "skytale_agent.py", **more):
        self.identity = identity
        self.process = subprocess.Popen(
            [python, str(HERE / program)],
            cwd=data_dir.parent,
            env={"PATH": os.environ["PATH"], "HOME": str(data_dir.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.do("open_client", endpoint=endpoint, data_dir=str(data_dir), identity=identity.hex(), **more)

    def do(self, order: str, **arguments):
        self.process.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
        self.process.stdin.flush()
        # A member that hangs would keep the whole run waiting.
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        assert line, f"{self.identity!r} did not answer {order} within {PATIENCE} s, or ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer)
        return answer["ok"]

    def create(self, name: str) -> None:
        self.do("create", name=name)

    def key_package(self) -> str:
        return self.do("key_package")

    def add(self, name: str, key_package: str) -> str:
        return self.do("add", name=name, key_package=key_package)

    def join(self, name: str, welcome: str) -> None:
        self.do("join", name=name, welcome=welcome)

    def invite(self, name: str, other: "Member") -> None:
        """Adds the other by the key-package route."""
        other.join(name, self.add(name, other.key_package()))

    def send(self, name: str, payload: bytes) -> None:
        self.do("send", name=name, payload=payload.hex())

    def receive(self, name: str, timeout: float = 10.0):
        got = self.do("receive", name=name, timeout=timeout)
        return None if got is None else bytes.fromhex(got)

    def call(self, name: str, method: str, *arguments):
        return self.do("call", channel=name, method=method, arguments=arguments)

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def makes() -> dict:
    """The Pythons of the makes of `skytale_sdk`: ours, and the published ones by version."""
    published = Path(os.environ["TOQ_INTEROP_SKYTALE"])
    found = {environment.name: str(environment / "bin" / "python") for environment in published.iterdir()}
    return {"ours": os.environ["TOQ_INTEROP_SKYTALE_OURS"], **found}
