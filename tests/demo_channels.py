"""Two members of an encrypted channel: the part of the demo that needs the Python package `skytale_sdk`.

    python tests/demo_channels.py target/release/toq DIRECTORY

Run by demo.py with a Python that has the package. Starts a relay of its own and stops it again.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from skytale_sdk import SkytaleChannelManager, SkytaleError

from demo import Watch, line, title

CHANNEL = "acme/team/general"
ROUNDS = 50


class RelayOfTheDemo:
    def __init__(self, toq: str, root: Path) -> None:
        self.binary, self.root = toq, root
        root.mkdir()

    def toq(self, *words: str) -> str:
        log = self.root / "cli.log"
        with log.open("w") as output:
            command = [self.binary, "relay", *words, "--data", str(self.root / "state")]
            environment = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=60
            )
        said = log.read_text()
        if done.returncode:
            raise SystemExit(f"demo: toq relay {' '.join(words)} failed with {done.returncode}:\n{said}")
        return said

    def up(self) -> None:
        said = json.loads(self.toq("up", "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--json"))
        self.grpc, self.api = f"http://{said['grpc']}", f"http://{said['api']}"
        self.key = json.loads(self.toq("key", "create", "--json"))["key"]

    def member(self, name: str) -> SkytaleChannelManager:
        return SkytaleChannelManager(name, self.grpc, self.root / name, self.key, self.api)


def drained(member: SkytaleChannelManager, count: int) -> list:
    taken: list = []
    while len(taken) < count:
        some = member.receive_messages(CHANNEL, timeout=20.0)
        if not some:
            raise SystemExit(f"demo: {len(taken)} of {count} messages came within 20 s")
        taken += some
    return taken


def main() -> int:
    relay = RelayOfTheDemo(sys.argv[1], Path(sys.argv[2]) / "channels")
    title("An encrypted channel: two members in Python, a relay that reads nothing")
    watch = Watch()
    relay.up()
    line("relay", f"is up at {relay.grpc}", watch())
    try:
        play(relay)
    finally:
        relay.toq("down")
    return 0


def play(relay: RelayOfTheDemo) -> None:
    with relay.member("alice") as alice:
        alice.create(CHANNEL)
        token = alice.invite(CHANNEL)
        with relay.member("bob") as bob:
            watch = Watch()
            bob.join_with_token(CHANNEL, token)
            line("bob", f"joins {CHANNEL} by an invite", watch())
            alice.send(CHANNEL, "Hello from Alice!")
            message = drained(bob, 1)[0]
            line("bob", f'reads "{message.text}" from {message.sender.decode()}')
            times = []
            for number in range(ROUNDS):
                began = time.perf_counter()
                alice.send(CHANNEL, str(number))
                drained(bob, 1)
                times.append(time.perf_counter() - began)
            line("bob", f"hears {ROUNDS} more: median", statistics.median(times))
        alice.send(CHANNEL, "Read this when you are back")
        line("alice", "writes while bob is away")
        with relay.member("bob") as bob:
            watch = Watch()
            line("bob", f'is back: "{drained(bob, 1)[0].text}"', watch())
            alice.remove_member(CHANNEL, "bob")
            alice.send(CHANNEL, "Between ourselves")
            try:
                bob.receive(CHANNEL, timeout=30.0)
            except SkytaleError:
                line("alice", "removes bob, who can read no more and is told so")
            else:
                raise SystemExit("demo: bob reads on after he was removed")


if __name__ == "__main__":
    sys.exit(main())
