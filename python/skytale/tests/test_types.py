"""The types hold: in the package, and for a program that uses it."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import skytale_sdk

HERE = Path(__file__).resolve().parent

PROGRAM = """
import asyncio
from skytale_sdk import Channel, Envelope, Member, Message, Protocol, SkytaleChannelManager, SkytaleClient
from skytale_sdk import aio

def documented(client: SkytaleClient, welcome: bytes) -> None:
    channel: Channel = client.create_channel("myorg/team/general")
    package: bytes = client.generate_key_package()
    joined: Channel = client.join_channel("myorg/team/general", welcome)
    added: bytes = channel.add_member(package)
    joined.send(added)
    for message in channel.messages():
        payload: bytes = bytes(message)
        sender: bytes = message.sender
        received: Message = message

def managed(manager: SkytaleChannelManager) -> list[str]:
    manager.send("a/b/c", "text")
    manager.send_envelope("a/b/c", Envelope(Protocol.A2A, "application/json", b"{}"))
    members: list[Member] = manager.members("a/b/c")
    return manager.receive("a/b/c", timeout=1.0)

async def awaited(client: aio.SkytaleClient) -> bytes:
    channel = await client.create_channel("a/b/c")
    async for message in channel.messages():
        return message.sender
    return await channel.export_audit_key()
"""


def mypy(*words: str) -> subprocess.CompletedProcess[str]:
    config = str(HERE.parent / "pyproject.toml")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", config, *words], capture_output=True, text=True, cwd=HERE
    )


def test_the_package_is_typed_and_its_types_hold(tmp_path):
    assert (files("skytale_sdk") / "py.typed").is_file()

    done = mypy("--cache-dir", str(tmp_path), "-p", "skytale_sdk")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_uses_the_package_is_checked_against_its_types(tmp_path):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(PROGRAM)
    bad.write_text(PROGRAM.replace("channel.add_member(package)", 'channel.add_member("text")'))

    assert mypy("--cache-dir", str(tmp_path), str(good)).returncode == 0
    assert "add_member" in mypy("--cache-dir", str(tmp_path), str(bad)).stdout


def test_the_stubs_name_what_the_native_module_has():
    stubs = (files("skytale_sdk") / "_native.pyi").read_text()
    native = skytale_sdk._native

    for kind in (native.Client, native.Channel, native.MessageIterator):
        for name in (name for name in vars(kind) if not name.startswith("__")):
            assert f"def {name}(" in stubs, f"{kind.__name__}.{name} has no stub"
