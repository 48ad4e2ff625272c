"""An agent in a process of its own, so that it can be killed: `python agent.py ROLE ...`, told and heard over pipes.

send COUNT          creates or reopens the channel and sends numbers, saying each that was accepted
hear                reopens the channel and says each message that came, until it is killed
"""

from __future__ import annotations

import sys

from skytale_sdk import SkytaleClient

NAME = "acme/team/general"


def main(role: str, endpoint: str, directory: str, identity: str, *more: str) -> None:
    client = SkytaleClient(endpoint, directory, identity.encode())
    channel = client.open_channel(NAME)
    if role == "send":
        for number in range(int(more[0]), int(more[1])):
            channel.send(b"%d" % number)
            print(number, flush=True)
    else:
        print("open", flush=True)
        for message in channel.messages():
            print(bytes(message).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
