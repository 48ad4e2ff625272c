"""Ctrl-C and forks while a call waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from skytale_sdk import SkytaleClient, SkytaleError

NAME = "acme/team/general"

WAITS = """
from skytale_sdk import SkytaleClient
channel = SkytaleClient(identity=b"alice", mock=True).create_channel("a/b/c")
try:
    print("waiting", flush=True)
    next(channel.messages())
except KeyboardInterrupt:
    channel.send(b"works on")
    print("interrupted", flush=True)
"""


def test_a_keyboard_interrupt_ends_a_blocking_wait():
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "waiting\n"

        program.send_signal(signal.SIGINT)

        assert program.stdout.readline() == "interrupted\n"
        assert program.wait(30) == 0


def test_other_threads_run_while_one_waits(group):
    with SkytaleClient(identity=b"alice", mock=True, mock_group=group) as alice:
        channel = alice.create_channel(NAME)
        steps = []
        waiting = threading.Thread(target=lambda: channel.next(1.0))

        began = time.monotonic()
        waiting.start()
        while waiting.is_alive():
            steps.append(time.monotonic())

        # A wait that held the lock would leave this thread no step at all before it was over.
        assert len([step for step in steps if step - began < 0.9]) > 1000


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
