"""Ctrl-C, other threads and forks while a call waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from skytale_sdk import SkytaleClient, SkytaleError

NAME = "acme/team/general"

# Two members of one channel, and nothing on it.
BEGIN = """
import threading
from skytale_sdk import SkytaleChannelManager, SkytaleClient

NAME = "a/b/c"
alice, bob = (SkytaleClient(identity=name, mock=True) for name in (b"alice", b"bob"))
channel = alice.create_channel(NAME)
theirs = bob.join_channel(NAME, channel.add_member(bob.generate_key_package()))
manager = SkytaleChannelManager("carol", mock=True)
manager.join(NAME, channel.add_member(manager.key_package()))
while channel.events() or theirs.events() or manager.events(NAME):
    pass
"""

# Calls that wait until `theirs` has sent something, or the group has changed.
WAITS = {
    "next": "channel.next()",
    "next with a timeout": "channel.next(600.0)",
    "iterator": "next(channel.messages())",
    "receive": "manager.receive(NAME, timeout=600.0)",
    "receive_latest": "manager.receive_latest(NAME, timeout=600.0)",
    "receive_envelopes": "manager.receive_envelopes(NAME, timeout=600.0)",
    "events": "channel.events(600.0)",
}

INTERRUPTED = """
try:
    print("waiting", flush=True)
    {wait}
except KeyboardInterrupt:
    channel.send(b"works on")
    print("interrupted", flush=True)
"""

# If the waiting thread held the lock, the other one would never run again, and so never end the waiting.
BESIDE = """
import sys
sys.setswitchinterval(0.0001)
entered = threading.Event()

def wait():
    entered.set()
    {wait}

waiting = threading.Thread(target=wait)
waiting.start()
entered.wait()
steps = 0
while steps < 200_000 and waiting.is_alive():
    steps += 1
assert waiting.is_alive(), "it did not wait"
theirs.send(b"something")
theirs.rotate_key()
waiting.join()
print("over", flush=True)
"""


def program(text: str, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **more}
    return subprocess.Popen([sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_keyboard_interrupt_ends_every_wait(wait):
    with program(BEGIN + INTERRUPTED.format(wait=wait)) as running:
        assert running.stdout.readline() == "waiting\n"

        running.send_signal(signal.SIGINT)

        assert running.stdout.readline() == "interrupted\n"
        assert running.wait(30) == 0


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_thread_that_waits_does_not_hold_up_another(wait):
    with program(BEGIN + BESIDE.format(wait=wait)) as running:
        try:
            said, _ = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            raise

    assert (said, running.returncode) == ("over\n", 0)


NETWORK = """
from skytale_sdk import SkytaleClient
alice = SkytaleClient(identity=b"alice")
channel = alice.{begin}("a/b/c")
print("ready", flush=True)
input()
try:
    print("waiting", flush=True)
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
alice.close(0)
"""


@pytest.mark.parametrize("wait", ["alice.join_with_token('a/b/d', token, 600.0)", "channel.rotate_key()", "alice.flush(600.0)"])
def test_a_keyboard_interrupt_ends_a_wait_for_servers(relay, tmp_path, wait):
    owner = SkytaleClient(relay.endpoint, tmp_path / "owner", b"owner", relay.key, relay.api_url)
    owner.create_channel("a/b/d")
    token = owner.invite("a/b/d")
    owner.close()
    text = NETWORK.format(begin="create_channel", wait=f"channel.send(b'x'); token = {token!r}; {wait}")
    command = [sys.executable, "-c", text]
    environment = {**os.environ, **relay.environment, "HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        if "token" not in wait:
            relay.kill()
        running.stdin.write("\n")
        running.stdin.flush()
        assert running.stdout.readline() == "waiting\n"

        running.send_signal(signal.SIGINT)

        assert running.stdout.readline() == "interrupted\n"
        assert running.wait(30) == 0


def test_a_fork_is_told_that_the_client_is_not_its_own(group):
    with SkytaleClient(identity=b"alice", mock=True, mock_group=group) as alice:
        channel = alice.create_channel(NAME)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                channel.send(b"from the child")
                os.write(write, b"sent")
            except SkytaleError as error:
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)

        said = os.read(read, 1000)
        os.close(read)
        os.close(write)

        assert said.startswith(b"runtime error: ") and b"fork" in said
        channel.send(b"from the parent")


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_wait_with_a_timeout_returns_none(group, seconds):
    with SkytaleClient(identity=b"alice", mock=True, mock_group=group) as alice:
        assert alice.create_channel(NAME).next(seconds) is None
