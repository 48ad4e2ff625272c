#!/usr/bin/env python3
"""Two agents talk: what toq does, on one page.

    tests/demo.py target/release/toq [a Python that has skytale_sdk]

Starts two daemons in temporary directories, each with a home of its own, and drives them through the command line and
the local API as any program would; and, where the Python package skytale_sdk is there, a relay with two members of an encrypted
channel. Nothing outside these directories is read or written. Needs only the standard library.
"""

import http.client
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PATIENCE = 20.0
ROUND_TRIPS = 50


class Agent:
    """A workspace, its daemon, and a feed of what arrives there."""

    def __init__(self, toq: str, root: Path, name: str) -> None:
        self.binary, self.name = toq, name
        self.work, self.home = root / name, root / f"{name}-home"
        self.work.mkdir()
        self.home.mkdir()
        self.arrivals: queue.Queue = queue.Queue()

    def toq(self, *words: str) -> str:
        """Runs a command in the workspace. Output goes to a file: a daemon would keep a pipe open."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TOQ_")}
        log = self.home / "cli.log"
        with log.open("w") as output:
            done = subprocess.run(
                [self.binary, *words],
                cwd=self.work,
                env={**inherited, "HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
            )
        said = log.read_text().strip()
        if done.returncode:
            raise SystemExit(f"demo: toq {' '.join(words)} failed with {done.returncode}:\n{said}")
        return said

    def up(self) -> None:
        self.toq("up")
        self.state = json.loads((self.work / ".toq" / "state.json").read_text())
        self.address = self.state["address"]

    def call(self, method: str, path: str, body=None):
        line = self.connect()
        try:
            line.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            answer = line.getresponse()
            text = answer.read()
        finally:
            line.close()
        if answer.status >= 400:
            raise SystemExit(f"demo: {method} {path} answered {answer.status}: {text.decode(errors='replace')}")
        return json.loads(text) if text.strip() else None

    def send(self, to: str, text: str, wait: str = "true", **more):
        return self.call("POST", f"/v1/messages?wait={wait}", {"to": to, "body": {"text": text}, **more})

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.state["port"], timeout=PATIENCE)

    def listen(self) -> None:
        """Puts every message that arrives from now on into `arrivals`."""
        line = self.connect()
        line.request("GET", "/v1/messages")
        feed = line.getresponse()
        if feed.status != 200:
            raise SystemExit(f"demo: GET /v1/messages answered {feed.status}")
        threading.Thread(target=self._follow, args=(line, feed), daemon=True).start()

    def _follow(self, line, feed) -> None:
        try:
            for raw in feed:
                if raw.startswith(b"data: "):
                    self.arrivals.put((json.loads(raw[6:]), time.perf_counter()))
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # The daemon was stopped.
        finally:
            line.close()

    def next(self, wanted: str = "message.send"):
        """The next arrival of a type, and when it came."""
        while True:
            try:
                message, came = self.arrivals.get(timeout=PATIENCE)
            except queue.Empty:
                raise SystemExit(f"demo: {self.name} waited {PATIENCE:.0f} s for a {wanted}") from None
            if message["type"] == wanted:
                return message, came

    def state_of(self, message_id: str) -> str:
        return self.call("GET", f"/v1/messages/{message_id}")["state"]

    def until(self, message_id: str, state: str) -> None:
        limit = time.monotonic() + PATIENCE
        while (now := self.state_of(message_id)) != state:
            if time.monotonic() > limit:
                raise SystemExit(f"demo: message {message_id} is {now}, not {state}")
            time.sleep(0.01)


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


def line(who: str, text: str, seconds=None, state: str = "") -> None:
    took = "" if seconds is None else f"{seconds * 1000:9.1f} ms"
    print(f"  {who:6} {text:44} {state:10}{took}".rstrip(), flush=True)


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self.began


def main() -> int:
    if len(sys.argv) not in (2, 3) or not all(os.access(program, os.X_OK) for program in sys.argv[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    toq = str(Path(sys.argv[1]).resolve())
    whole = Watch()
    with tempfile.TemporaryDirectory(prefix="toq-demo-") as root:
        alice, bob = Agent(toq, Path(root), "alice"), Agent(toq, Path(root), "bob")
        try:
            play(alice, bob)
            for python in sys.argv[2:]:
                done = subprocess.run([python, str(Path(__file__).parent / "demo_channels.py"), toq, root], timeout=120)
                if done.returncode:
                    raise SystemExit("demo: the channel does not work")
            title("The end")
            watch = Watch()
            for agent in (alice, bob):
                agent.toq("down")
            line("both", "said goodbye and stopped", watch())
        finally:
            # Nothing to do after a good end. After a bad one no daemon stays behind.
            for agent in (alice, bob):
                if (agent.work / ".toq" / "state.json").exists():
                    agent.toq("down")
    print(f"\nAll of it took {whole():.1f} s. Next: the one-minute start in README.md\n")
    return 0


def play(alice: Agent, bob: Agent) -> None:
    title("Two agents, each with a workspace, a key and a daemon of its own")
    for agent in (alice, bob):
        agent.toq("init", "--name", agent.name, "--port", "auto")
        # A policy each: alice lets anyone in, bob wants to be asked, which is the default.
        agent.toq("config", "set", "connection_mode", "open" if agent is alice else "approval")
        watch = Watch()
        agent.up()
        line(agent.name, f"is up at {agent.address}", watch())
        agent.listen()

    title("A stranger writes; nothing is lost while the owner decides")
    watch = Watch()
    first = alice.send(bob.address, "Hello, may I?", wait="false")
    line("alice", 'sends "Hello, may I?"', watch(), first["state"])
    watch = Watch()
    while not bob.call("GET", "/v1/approvals")["approvals"]:
        time.sleep(0.01)
    line("bob", "is asked about alice", watch())
    bob.toq("approve", "alice")
    watch = Watch()
    alice.until(first["id"], "delivered")
    line("bob", "approves her and has it", watch(), alice.state_of(first["id"]))
    greeting, _ = bob.next()

    title("An answer on the same thread")
    watch = Watch()
    reply = bob.send(alice.address, "Come in!", thread_id=greeting["thread_id"], reply_to=greeting["id"])
    line("bob", 'replies "Come in!"', watch(), reply["state"])
    answer, _ = alice.next()
    if answer["thread_id"] != first["thread_id"] or answer["reply_to"] != first["id"]:
        raise SystemExit("demo: the reply is not on the thread")
    line("alice", f'reads "{answer["body"]["text"]}" on thread {answer["thread_id"][:8]}')

    title("A stream: pieces as they are written, then the whole as one message")
    stream = alice.call("POST", "/v1/stream/start", {"to": bob.address})["stream_id"]
    for piece in ("Once ", "upon ", "a time"):
        began = time.perf_counter()
        alice.call("POST", "/v1/stream/chunk", {"stream_id": stream, "text": piece})
        chunk, came = bob.next("message.stream.chunk")
        line("bob", f'hears "{chunk["body"]["data"]["text"].strip()}"', came - began)
    began = time.perf_counter()
    alice.call("POST", "/v1/stream/end", {"stream_id": stream, "text": "."})
    end, came = bob.next("message.stream.end")
    line("bob", f'has it whole: "{end["body"]["text"]}"', came - began)

    title(f"{ROUND_TRIPS} messages, one after the other, each on bob's disk before alice is told")
    alice.send(bob.address, "warm-up")
    times = []
    for number in range(ROUND_TRIPS):
        watch = Watch()
        alice.send(bob.address, f"message {number}")
        times.append(watch())
    line("alice", "sends and waits: median", statistics.median(times))
    line("", "slowest of them", max(times))

    title("The receiver is away")
    bob.toq("down")
    watch = Watch()
    late = alice.send(bob.address, "Read this when you are back", wait="false")
    line("alice", "writes all the same", watch(), late["state"])
    bob.up()
    watch = Watch()
    alice.until(late["id"], "delivered")
    line("bob", "is back and has it", watch(), alice.state_of(late["id"]))


if __name__ == "__main__":
    sys.exit(main())
