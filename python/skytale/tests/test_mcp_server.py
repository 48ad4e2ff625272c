"""The tool server, as an MCP host runs it: a process that is spoken to over pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60
CHANNEL = "org/ns/tools"


class Host:
    """Runs a server and calls its tools."""

    def __init__(self, module: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.asked = 0

    def begin(self) -> dict[str, Any]:
        client = {"name": "host", "version": "1"}
        told = self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return told

    def write(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.asked += 1
        self.write({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params})
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        answer = json.loads(line)
        assert answer["id"] == self.asked
        return answer["result"]

    def call(self, tool: str, **arguments: Any) -> tuple[str, bool]:
        """What the tool said, and whether it failed."""
        result = self.ask("tools/call", name=tool, arguments=arguments)
        return "\n".join(item["text"] for item in result["content"]), result.get("isError", False)

    def end(self) -> int:
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture
def host(tmp_path: Path):
    host = Host(
        "skytale_sdk.integrations.mcp", SKYTALE_MOCK="1", SKYTALE_IDENTITY="robot", SKYTALE_DATA_DIR=str(tmp_path / "robot")
    )
    yield host
    if host.process.poll() is None:
        host.process.kill()
        host.end()


def test_the_server_offers_the_published_tools(host):
    assert host.begin()["serverInfo"]["name"] == "skytale"

    tools = {tool["name"]: tool for tool in host.ask("tools/list")["tools"]}

    assert {name: sorted(tool["inputSchema"]["properties"]) for name, tool in tools.items()} == {
        "skytale_create_channel": ["channel"],
        "skytale_key_package": [],
        "skytale_add_member": ["channel", "key_package_hex"],
        "skytale_join_channel": ["channel", "welcome_hex"],
        "skytale_send": ["channel", "message"],
        "skytale_receive": ["channel", "timeout"],
        "skytale_channels": [],
    }
    assert tools["skytale_receive"]["inputSchema"]["required"] == ["channel"]
    assert all(tool["description"] for tool in tools.values())


def test_the_tools_act_on_channels(host):
    host.begin()

    assert host.call("skytale_channels") == ("No active channels", False)
    assert not host.call("skytale_create_channel", channel=CHANNEL)[1]
    assert host.call("skytale_channels") == (CHANNEL, False)
    assert host.call("skytale_send", channel=CHANNEL, message="hello") == (f"Message sent to {CHANNEL}", False)
    assert host.call("skytale_receive", channel=CHANNEL, timeout=0) == (f"No new messages on {CHANNEL}", False)
    key_package, failed = host.call("skytale_key_package")
    assert bytes.fromhex(key_package)[:4] == b"\x00\x01\x00\x05" and not failed


def test_what_cannot_be_done_is_said_and_the_server_goes_on(host):
    host.begin()

    for tool, arguments, reason in (
        ("skytale_create_channel", {"channel": "bad-name"}, "invalid channel name: bad-name"),
        ("skytale_send", {"channel": CHANNEL, "message": "x"}, f"this agent is not in {CHANNEL}"),
        ("skytale_receive", {"channel": CHANNEL}, f"this agent is not in {CHANNEL}"),
        ("skytale_join_channel", {"channel": CHANNEL, "welcome_hex": "xyz"}, "welcome_hex is not hex"),
        ("skytale_join_channel", {"channel": CHANNEL, "welcome_hex": "00"}, "MLS engine error"),
    ):
        said, failed = host.call(tool, **arguments)
        assert failed and reason in said

    assert host.call("skytale_channels") == ("No active channels", False)


def test_the_server_ends_with_its_input(host):
    host.begin()

    assert host.end() == 0


def test_the_module_runs_under_its_published_name_too(tmp_path):
    host = Host("skytale_sdk.integrations._mcp", SKYTALE_MOCK="1", SKYTALE_DATA_DIR=str(tmp_path / "robot"))

    assert host.begin()["serverInfo"]["name"] == "skytale"
    assert host.end() == 0


def test_without_the_package_it_needs_the_server_says_so_in_a_sentence(tmp_path):
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "__init__.py").write_text("raise ImportError('there is no mcp')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "skytale_sdk.integrations.mcp"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )

    assert done.returncode == 1
    assert done.stderr == "skytale: the MCP server needs the package mcp: pip install 'skytale-sdk[mcp]'\n"
    assert not (tmp_path / ".skytale").exists()
