"""The published manager and its HTTP client, through the whole flow of an invite. Run by a Python that has `skytale_sdk` 0.3.0.

The published native client cannot exchange a key for a token, so a manager is made without a key and given its HTTP client
afterwards, as its own constructor would have done. Prints one JSON object.
"""

import json
import os
import sys
from pathlib import Path

from skytale_sdk import SkytaleChannelManager
from skytale_sdk._api import SkytaleAPI

CHANNEL = "acme/team/general"


def manager(name, order):
    made = SkytaleChannelManager(identity=name.encode(), endpoint=order["grpc"], data_dir=str(Path(order["home"]) / name))
    made._api = SkytaleAPI(order["api"], order["key"])
    return made


def refused(question):
    try:
        question()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def main(order):
    alice, bob, eve = (manager(name, order) for name in ("alice", "bob", "eve"))
    alice.create(CHANNEL)
    token = alice.invite(CHANNEL)
    wrong_channel = refused(lambda: eve.join_with_token("acme/team/other", token, timeout=5))
    bob.join_with_token(CHANNEL, token, timeout=30)
    used_up = refused(lambda: eve.join_with_token(CHANNEL, token, timeout=5))

    # Whoever joins says so first: its own subscription is on the same stream, before it.
    bob.send(CHANNEL, "bob is here")
    heard_by_alice = alice.receive(CHANNEL, timeout=20)
    alice.send(CHANNEL, "hello bob")
    heard_by_bob = bob.receive(CHANNEL, timeout=20)

    eve._api = SkytaleAPI(order["api"], "sk_live_wrong")
    wrong_key = refused(lambda: eve.invite(CHANNEL))
    again = alice._api.register_channel(CHANNEL)
    print(
        json.dumps(
            {
                "token": token,
                "wrong_channel": wrong_channel,
                "used_up": used_up,
                "wrong_key": wrong_key,
                "bad_name": refused(lambda: alice._api.register_channel("bad-name")),
                "same_channel": again == alice._api.register_channel(CHANNEL),
                "heard_by_alice": heard_by_alice,
                "heard_by_bob": heard_by_bob,
            }
        )
    )
    for one in (alice, bob, eve):
        one.close()
    # The published listeners do not survive the orderly end of the interpreter.
    sys.stdout.flush()
    os._exit(0)


main(json.loads(sys.argv[1]))
