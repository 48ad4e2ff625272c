#!/usr/bin/env python3
"""The figures of encrypted channels in docs/benchmarks.md.

    tests/bench/channels.py target/release/toq [--wheel PYTHON] [--runs 5]

Runs with a Python that has `skytale_sdk` in it. Starts a relay of its own on loopback for every run, with durability on, and
prints each measure's median. `--wheel` names the interpreter of an environment with a published `skytale-sdk`; its latency
through the same relay is then printed beside ours. Everything happens in a temporary directory and ends by itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CHANNEL = "bench/channels/one"
LATENCY_ROUNDS = 300
FAN_OUT_MEMBERS = 10
FAN_OUT_MESSAGES = 2000
MISSED = 10_000


class Relay:
    """A relay and its API server, in a directory of its own."""

    def __init__(self, toq: str, root: Path) -> None:
        self.toq, self.root = toq, root

    def __enter__(self) -> "Relay":
        words = ["relay", "up", "--foreground", "--anonymous", "--data", str(self.root / "relay"), "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]
        env = {**os.environ, "HOME": str(self.root)}
        self.process = subprocess.Popen([self.toq, *words], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        found: dict[str, str] = {}
        for line in self.process.stderr:
            what, _, where = line.strip().partition(":")
            if where.strip().startswith("http://"):
                found[what] = where.strip()
            if "members" in found and "API" in found:
                break
        else:
            raise SystemExit("the relay did not come up")
        self.grpc, self.api = found["members"], found["API"]
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def key(self) -> str:
        words = [self.toq, "relay", "key", "create", "--data", str(self.root / "relay"), "--json"]
        return json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)["key"]

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)


def pair(endpoint: str, root: Path):
    """Two members of one channel, by the key-package route that every version has."""
    from skytale_sdk import SkytaleClient

    alice = SkytaleClient(endpoint, str(root / "alice"), b"alice")
    bob = SkytaleClient(endpoint, str(root / "bob"), b"bob")
    here = alice.create_channel(CHANNEL)
    there = bob.join_channel(CHANNEL, here.add_member(bob.generate_key_package()))
    time.sleep(0.5)  # Published members are subscribed some time after join_channel returned.
    return alice, bob, here, there


def latency(endpoint: str, root: Path) -> dict[str, float]:
    """Milliseconds from `send` to the same message in another member's hands, one at a time."""
    clients = pair(endpoint, root)
    _, _, here, there = clients
    arrived, times = threading.Semaphore(0), []

    def read() -> None:
        for message in there.messages():
            times.append(time.perf_counter_ns() - int(bytes(message).split()[0]))
            arrived.release()

    threading.Thread(target=read, daemon=True).start()
    for _ in range(LATENCY_ROUNDS):
        here.send(str(time.perf_counter_ns()).encode().ljust(200))
        if not arrived.acquire(timeout=10):
            raise SystemExit("a message did not arrive")
    times.sort()
    return {"p50 ms": times[len(times) // 2] / 1e6, "p99 ms": times[len(times) * 99 // 100] / 1e6}


def fan_out(relay: Relay, root: Path) -> dict[str, float]:
    """Messages delivered per second in total, from one sender to nine others."""
    from skytale_sdk import SkytaleClient

    clients = [SkytaleClient(relay.grpc, str(root / f"m{n}"), f"m{n}".encode()) for n in range(FAN_OUT_MEMBERS)]
    here = clients[0].create_channel(CHANNEL)
    others = [client.join_channel(CHANNEL, here.add_member(client.generate_key_package())) for client in clients[1:]]

    def read(channel) -> None:
        messages = channel.messages()
        for _ in range(FAN_OUT_MESSAGES):
            next(messages)

    readers = [threading.Thread(target=read, args=(channel,)) for channel in others]
    for reader in readers:
        reader.start()
    began = time.perf_counter()
    for _ in range(FAN_OUT_MESSAGES):
        here.send(b"x" * 200)
    for reader in readers:
        reader.join()
    rate = FAN_OUT_MESSAGES * len(others) / (time.perf_counter() - began)
    for client in clients:
        client.close()
    return {"delivered/s": rate}


def invite(relay: Relay, root: Path) -> dict[str, float]:
    """Milliseconds of `join_with_token`."""
    from skytale_sdk import SkytaleClient

    alice = SkytaleClient(relay.grpc, str(root / "alice"), b"alice", api_key=relay.key(), api_url=relay.api)
    bob = SkytaleClient(relay.grpc, str(root / "bob"), b"bob", api_key=relay.key(), api_url=relay.api)
    alice.create_channel(CHANNEL)
    token = alice.invite(CHANNEL)
    began = time.perf_counter()
    bob.join_with_token(CHANNEL, token)
    took = (time.perf_counter() - began) * 1e3
    alice.close()
    bob.close()
    return {"join ms": took}


def catch_up(relay: Relay, root: Path) -> dict[str, float]:
    """Seconds until a member that was away has everything that it missed, in order."""
    from skytale_sdk import SkytaleClient

    alice, bob, here, _ = pair(relay.grpc, root)
    bob.close()
    for n in range(MISSED):
        here.send(str(n).encode())
    if not alice.flush(120):
        raise SystemExit("the relay did not take everything")
    began = time.perf_counter()
    bob = SkytaleClient(relay.grpc, str(root / "bob"), b"bob")
    messages = bob.open_channel(CHANNEL).messages()
    for n in range(MISSED):
        if bytes(next(messages)) != str(n).encode():
            raise SystemExit("out of order")
    took = time.perf_counter() - began
    alice.close()
    bob.close()
    return {"seconds": took}


def wheel(python: str, relay: Relay, root: Path) -> dict[str, float]:
    """The same latency with a published package, in a process of its own."""
    done = subprocess.run([python, __file__, "--only-latency", relay.grpc, str(root)], capture_output=True, check=True, text=True, timeout=120)
    return json.loads(done.stdout)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("toq", nargs="?", help="the binary, release build")
    reader.add_argument("--wheel", help="Python of an environment with a published skytale-sdk")
    reader.add_argument("--runs", type=int, default=5)
    reader.add_argument("--only-latency", nargs=2, metavar=("ENDPOINT", "DIR"), help=argparse.SUPPRESS)
    told = reader.parse_args()
    if told.only_latency:
        print(json.dumps(latency(told.only_latency[0], Path(told.only_latency[1]))), flush=True)
        # Published clients have no end; their threads would keep the process.
        os._exit(0)
    if not told.toq:
        reader.error("which binary?")
    measures = {
        "message, 2 members": lambda relay, root: latency(relay.grpc, root),
        "1 sender, 10 members": fan_out,
        "join by invite": invite,
        f"back after {MISSED:,} missed": catch_up,
    }
    if told.wheel:
        measures["message, 2 published members"] = lambda relay, root: wheel(told.wheel, relay, root)
    for name, measure in measures.items():
        figures: dict[str, list[float]] = {}
        for _ in range(told.runs):
            with tempfile.TemporaryDirectory() as root, Relay(told.toq, Path(root)) as relay:
                for unit, figure in measure(relay, Path(root)).items():
                    figures.setdefault(unit, []).append(figure)
        medians = ", ".join(f"{unit} {statistics.median(values):,.2f}" for unit, values in figures.items())
        print(f"{name}: {medians}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
