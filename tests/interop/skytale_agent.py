"""One member of encrypted channels in a process of its own, told what to do by a JSON object on each line.

Run with the Python of the environment whose `skytale_sdk` is to be driven; knows only what every version of it has. Answers
each line with one: {"ok": ...} or {"error": the class, "text": the message}. Bytes travel in hexadecimal.
"""

import json
import queue
import sys
import threading

from skytale_sdk import SkytaleClient

channels: dict = {}
heard: dict = {}


def open_client(endpoint, data_dir, identity, **more):
    global client
    client = SkytaleClient(endpoint, data_dir, bytes.fromhex(identity), **more)


def create(name):
    keep(name, client.create_channel(name))


def join(name, welcome):
    keep(name, client.join_channel(name, bytes.fromhex(welcome)))


def keep(name, channel):
    channels[name], heard[name] = channel, queue.Queue()
    threading.Thread(target=listen, args=(channel, heard[name]), daemon=True).start()


def listen(channel, into):
    for message in channel.messages():
        into.put(bytes(message))


def key_package():
    return client.generate_key_package().hex()


def add(name, key_package):
    return channels[name].add_member(bytes.fromhex(key_package)).hex()


def send(name, payload):
    channels[name].send(bytes.fromhex(payload))


def receive(name, timeout):
    """The next message, or None when there is none in time."""
    try:
        return heard[name].get(timeout=timeout).hex()
    except queue.Empty:
        return None


def call(channel, method, arguments):
    """Something that only some versions have."""
    answer = getattr(channels[channel], method)(*arguments)
    return answer.hex() if isinstance(answer, bytes) else None


def token(name):
    """An invite; only ours makes one by the client."""
    return client.invite(name)


def members(name):
    return [member.identity.decode() for member in channels[name].members()]


COMMANDS = {
    function.__name__: function for function in (open_client, create, join, key_package, add, send, receive, call, token, members)
}

if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"ok": COMMANDS[order.pop("do")](**order)}
        except Exception as error:  # Whatever it is, it is the answer.
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)
