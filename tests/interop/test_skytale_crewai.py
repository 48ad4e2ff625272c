"""Our tools for CrewAI, in a real CrewAI."""

import json
import os
import subprocess
from pathlib import Path

PATIENCE = 120

PROGRAM = """
import json

from crewai.tools import BaseTool

from skytale_sdk.integrations.crewai import create_manager, tools

alice, bob = (create_manager(identity=name, mock=True) for name in ("alice", "bob"))
alice.create("acme/team/crew")
bob.join("acme/team/crew", alice.add_member("acme/team/crew", bob.key_package()))
send, receive, channels = tools(bob)
assert all(isinstance(tool, BaseTool) and tool.description for tool in (send, receive, channels))
print(json.dumps([
    tools(alice)[0].run(channel="acme/team/crew", message="hello"),
    receive.run(channel="acme/team/crew", timeout=20.0),
    receive.run(channel="acme/team/crew", timeout=0.0),
    channels.run(),
    [send.name, receive.name, channels.name],
]))
"""


def test_crewai_agents_send_and_receive(tmp_path):
    # CrewAI is installed beside its published plugin already; only our package is lent to it.
    found = subprocess.run(
        [os.environ["TOQ_INTEROP_SKYTALE_OURS"], "-c", "import skytale_sdk; print(skytale_sdk.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    package = Path(found.stdout.strip())
    lent = tmp_path / "lent"
    lent.mkdir()
    for part in (package, *package.parent.glob("skytale_sdk-*.dist-info")):
        (lent / part.name).symlink_to(part)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(lent),
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "OTEL_SDK_DISABLED": "true",
    }

    python = Path(os.environ["TOQ_INTEROP_PLUGINS"]) / "crewai" / "bin" / "python"
    ran = subprocess.run([python, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=PATIENCE)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [
        "Message sent to acme/team/crew",
        "[acme/team/crew] hello",
        "No new messages on acme/team/crew",
        "acme/team/crew",
        ["skytale_send", "skytale_receive", "skytale_channels"],
    ]
