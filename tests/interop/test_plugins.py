"""The published LangChain and CrewAI plugins, unmodified, on top of our daemon: every tool, the listener, the start."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from daemon import until
from events import Listener
from plugins import FRAMEWORKS, Plugin, PluginError

TOOLS = """add_handler approvals approve block deny handlers history peers permissions ping remove_handler revoke send
send_stream status stop_handler unblock"""


@pytest.fixture(scope="module", params=FRAMEWORKS)
def program(request, tmp_path_factory):
    """One process for each framework: importing CrewAI takes seconds."""
    program = Plugin(request.param, tmp_path_factory.mktemp("plugins"))
    yield program
    program.stop()


@pytest.fixture
def plugin(program, ours):
    """The plugin, connected to our daemon of this test."""
    names = program.do("connect", port=ours.port)
    assert names == [f"toq_{name}" for name in TOOLS.split()]
    return program


def test_a_message_is_sent_and_its_answer_is_in_the_history(plugin, ours, peer):
    sent = plugin.tool("send", address=peer.address, message="hello")
    thread = peer.history()[0]["thread_id"]
    peer.send(ours.address, "hello yourself", thread_id=thread)

    history = plugin.tool("history", limit=5, from_addr="bob")

    assert sent == f"Sent to {peer.address} (status: delivered, thread: {thread})"
    assert [entry["body"]["text"] for entry in peer.history()] == ["hello"]
    timestamp, rest = history.split("] ", 1)
    assert timestamp[1:5].isdigit() and rest == f"{peer.address}: hello yourself"
    assert plugin.tool("history", from_addr="nobody") == "No messages"


def test_what_cannot_be_delivered_is_an_exception_of_the_tool(plugin):
    with pytest.raises(PluginError, match="HTTPStatusError.*502"):
        plugin.tool("send", address="toq://127.0.0.1:1/nobody", message="hello")


def test_a_stream_of_words_arrives_word_by_word(plugin, ours, peer):
    words = [f"word{number} " for number in range(50)]
    with Listener(peer) as listener:
        told = plugin.tool("send_stream", address=peer.address, message="".join(words))
        events = listener.wait(51, ours.address)

    assert [event["type"] for event in events] == ["message.stream.chunk"] * 50 + ["message.stream.end"]
    assert [event["body"]["data"]["text"] for event in events[:50]] == words
    assert told == f"Streamed to {peer.address} (thread: {events[0]['thread_id']})"


def test_status_ping_and_peers_name_who_is_there(plugin, ours, peer):
    assert plugin.tool("peers") == "No peers"
    peer.send(ours.address, "hello")

    assert json.loads(plugin.tool("status"))["address"] == ours.address
    assert plugin.tool("ping", address=peer.address) == (
        f"Agent: bob\nAddress: {peer.address}\nPublic key: {peer.key}\nStatus: reachable"
    )
    address, rest = plugin.tool("peers").split(" - ")
    assert address == peer.address and rest.endswith(f"(key: {peer.key})")


def test_requests_are_listed_approved_denied_and_revoked(program, house, peer):
    ours = house("ours", "alice", mode="approval")
    program.do("connect", port=ours.port)
    assert program.tool("approvals") == "No pending approvals"

    peer.send(ours.address, "may I?", expect=502)
    request, address = program.tool("approvals").split(" from ")
    assert address == peer.address
    assert program.tool("deny", approval_id=request) == f"Denied {request}"
    assert program.tool("approvals") == "No pending approvals"

    peer.send(ours.address, "please?", expect=502)
    assert program.tool("approve", identifier=program.tool("approvals").split(" ")[0]) == f"Approved {request}"
    peer.send(ours.address, "thank you")
    assert program.tool("permissions") == f"Approved:\n  key: {peer.key}\nBlocked:\n  (none)"

    assert program.tool("revoke", identifier=peer.key) == f"Revoked {peer.key}"
    peer.send(ours.address, "again?", expect=502)
    program.tool("approve", identifier="toq://127.0.0.1/*")
    peer.send(ours.address, "the pattern admits me")
    program.tool("revoke", identifier="toq://127.0.0.1/*")
    assert program.tool("permissions") == "Approved:\n  (none)\nBlocked:\n  (none)"


@pytest.mark.parametrize("rule", ["key", "pattern"])
def test_a_blocked_peer_is_refused_until_it_is_unblocked(plugin, ours, peer, rule):
    identifier = peer.key if rule == "key" else "toq://*/bob"

    assert plugin.tool("block", identifier=identifier) == f"Blocked {identifier}"
    assert plugin.tool("permissions").splitlines()[-1].endswith(f": {identifier}")
    peer.send(ours.address, "blocked", expect=502)
    assert plugin.tool("unblock", identifier=identifier) == f"Unblocked {identifier}"
    peer.send(ours.address, "welcome back")

    assert plugin.tool("history").endswith(f"{peer.address}: welcome back")


def test_a_handler_is_added_runs_is_stopped_and_removed(plugin, ours, peer):
    heard = ours.workspace / "heard.json"
    assert plugin.tool("handlers") == "No handlers registered"

    command = f"cat > {heard}.new && mv {heard}.new {heard} && exec sleep 300"
    added = plugin.tool("add_handler", name="ear", command=command, filter_from=f"{peer.address}, toq://*/eve", filter_type="message.send")
    idle = plugin.tool("handlers")
    peer.send(ours.address, "hello")
    until(heard.exists, what="the handler to run")
    busy = plugin.tool("handlers")
    stopped = plugin.tool("stop_handler", name="ear")

    assert added == "Added handler 'ear'"
    assert idle == f"ear - enabled, 0 active, command: {command}"
    assert busy == f"ear - enabled, 1 active, command: {command}"
    assert json.loads(heard.read_text())["body"] == {"text": "hello"}
    assert stopped == "Stopped 1 process(es) for 'ear'"
    assert plugin.tool("remove_handler", name="ear") == "Removed handler 'ear'"
    assert plugin.tool("handlers") == "No handlers registered"


def test_a_listening_agent_answers_what_arrives_and_nothing_else(plugin, ours, peer):
    plugin.do("listen", url=ours.url)
    mine = lambda text: [entry for entry in peer.history() if text in entry["body"]["text"]]

    def is_listening():
        peer.send(ours.address, "anybody there?")
        return mine("anybody there?")

    until(is_listening, every=0.2, what="the agent to listen")
    sent = peer.send(ours.address, "what do you hear?")

    answer = until(lambda: mine("what do you hear?"), what="the agent's answer")[0]
    assert answer["body"]["text"].startswith("heard: ")
    assert answer["thread_id"] == sent["thread_id"]
    assert answer["reply_to"] == sent["id"]
    # Every question has one answer: no answer of the agent was taken for something to answer.
    asked = len(ours.history())
    until(lambda: len(peer.history()) >= asked, what="all answers")
    peer.send(ours.address, "last one")
    until(lambda: mine("last one"), what="the last answer")
    assert len(peer.history()) == asked + 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_connect_unpacks_sets_up_and_starts_our_daemon_and_takes_it_along_in_the_end(framework, tmp_path):
    program = Plugin(framework, tmp_path)
    try:
        names = program.do("connect", agent_name="alice", connection_mode="open", adapter="http")
        status = json.loads(program.tool("status"))
        assert len(names) == 17
        assert (status["status"], status["address"]) == ("running", "toq://localhost/alice")
        assert (program.home / ".toq" / "bin" / "toq").exists()
        assert httpx.get("http://127.0.0.1:9009/v1/health", trust_env=False).status_code == 200
    finally:
        code = program.stop()

    assert code == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:9009/v1/health", trust_env=False)
    assert not (program.home / ".toq" / "state.json").exists()


def test_what_setup_tells_to_install_and_to_write_is_there(program, tmp_path):
    arguments = ["--json", "setup", "--non-interactive", "--host", "localhost", "--framework", program.framework]
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    told = subprocess.run([os.environ["TOQ_BIN"], *arguments], env=home, capture_output=True, check=True, timeout=30)
    framework = json.loads(told.stdout)["framework"]

    python = Path(os.environ["TOQ_INTEROP_PLUGINS"]) / program.framework / "bin" / "python"
    (install,) = framework["install"]
    wanted = install.removeprefix("pip install ").split("==")
    versions = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    found = subprocess.run([python, "-c", versions, wanted[0]], capture_output=True, text=True, check=True, timeout=60)
    # The daemon that `connect()` would start is tested elsewhere; here the lines must be Python and the names there.
    compile(framework["snippet"], "snippet", "exec")
    names = framework["snippet"].splitlines()[0]
    subprocess.run([python, "-c", names], env=home, check=True, timeout=120)

    assert found.stdout.strip() == wanted[1]
