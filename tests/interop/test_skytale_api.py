"""The published HTTP client, unmodified, against our API server: keys of `toq relay key create`, invites, and what is refused.

0.5.2 sends asterisks in the place of its key, so only 0.3.0 is asked.
"""

import json
import os
import subprocess

import pytest
from skytale import Member, makes


def key(tmp_path) -> str:
    """A key that the operator makes while the relay runs."""
    command = [os.environ["TOQ_BIN"], "relay", "key", "create", "--data", str(tmp_path / "relay" / "state"), "--json"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=30, env={"HOME": str(tmp_path)})
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["key"]


def test_a_published_member_joins_by_an_invite_of_another(relay, tmp_path):
    secret = key(tmp_path)
    order = {"grpc": relay.grpc, "api": relay.api, "key": secret, "home": str(tmp_path)}

    done = subprocess.run(
        [makes()["0.3.0"], os.path.join(os.path.dirname(__file__), "skytale_invites.py"), json.dumps(order)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    assert seen["heard_by_alice"] == ["bob is here"]
    assert seen["heard_by_bob"] == ["hello bob"]
    assert seen["same_channel"]
    for name, raised, status in [
        ("wrong_channel", "ChannelError", "API error (404)"),
        ("used_up", "ChannelError", "API error (400)"),
        ("bad_name", "ChannelError", "API error (400)"),
        ("wrong_key", "AuthError", "API error (401): invalid or revoked api key"),
    ]:
        assert seen[name][0] == raised and seen[name][1].startswith(status), seen[name]
    # Nothing that opens something stands in what the relay has written.
    state = tmp_path / "relay" / "state"
    written = [file for file in state.rglob("*") if file.is_file()]
    assert any(file.name == "relay.redb" for file in written) and any(file.suffix == ".log" for file in written), written
    for file in written:
        content = file.read_bytes()
        assert seen["token"][8:].encode() not in content and secret[12:].encode() not in content, file


# A published manager, which joins by a token and cannot prove that it holds it.
JOINER = """
import json, os, sys
from skytale_sdk import SkytaleChannelManager
from skytale_sdk._api import SkytaleAPI
order = json.loads(sys.argv[1])
bob = SkytaleChannelManager(identity=b"bob", endpoint=order["grpc"], data_dir=order["home"])
bob._api = SkytaleAPI(order["api"], order["key"])
try:
    bob.join_with_token(order["channel"], order["token"], timeout=order["timeout"])
    bob.send(order["channel"], "bob is here")
    print(json.dumps(bob.receive(order["channel"], timeout=20)))
except Exception as error:
    print(json.dumps({"raised": type(error).__name__}))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("allowed", [True, False])
def test_a_published_member_joins_by_an_invite_of_ours_only_where_its_owner_allows_it(relay, tmp_path, allowed):
    channel, secret = "acme/team/general", key(tmp_path)
    (tmp_path / "alice").mkdir()
    account = {"api_key": secret, "api_url": relay.api, "unbound_joins": allowed}
    alice = Member(makes()["ours"], relay.grpc, tmp_path / "alice" / "state", b"alice", **account)
    try:
        alice.create(channel)
        order = {"grpc": relay.grpc, "api": relay.api, "key": secret, "home": str(tmp_path / "bob"), "channel": channel}
        order |= {"token": alice.do("token", name=channel), "timeout": 20 if allowed else 5}
        command = [makes()["0.3.0"], "-c", JOINER, json.dumps(order)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"HOME": str(tmp_path)}) as joiner:
            if allowed:
                assert alice.receive(channel, timeout=20) == b"bob is here"
                alice.send(channel, b"hello bob")
            said = json.loads(joiner.communicate(timeout=60)[0])

        assert said == ["hello bob"] if allowed else said["raised"].endswith("Error")
        assert alice.do("members", name=channel) == (["alice", "bob"] if allowed else ["alice"])
    finally:
        alice.stop()
