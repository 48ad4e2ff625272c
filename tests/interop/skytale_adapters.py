"""An agent that speaks protocols over a channel, in a process of its own, told what to do by a JSON object on each line.

Run with the Python of the environment whose `skytale_sdk` is to be driven; knows only what every version of it has. Answers
each line with one: {"ok": ...} or {"error": the class, "text": the message}. Bytes travel in hexadecimal.
"""

import asyncio
import json
import sys

from skytale_sdk import SkytaleChannelManager
from skytale_sdk.bridge import ProtocolBridge
from skytale_sdk.envelope import Protocol

# The published package has its adapters under these names only.
from skytale_sdk.integrations._a2a import SkytaleA2AAdapter
from skytale_sdk.integrations._mcp_transport import SkytaleTransport
from skytale_sdk.integrations._slim import SLIMAdapter


def open_client(endpoint, data_dir, identity):
    global manager, a2a, slim, bridge
    manager = SkytaleChannelManager(identity=bytes.fromhex(identity), endpoint=endpoint, data_dir=data_dir)
    a2a, slim, bridge = SkytaleA2AAdapter(manager, "agent-of-" + bytes.fromhex(identity).decode()), SLIMAdapter(manager), ProtocolBridge(manager)


def create(name):
    manager.create(name)


def join(name, welcome):
    manager.join(name, bytes.fromhex(welcome))


def key_package():
    return manager.key_package().hex()


def add(name, key_package):
    return manager.add_member(name, bytes.fromhex(key_package)).hex()


def a2a_send(context, parts):
    a2a.send_message(context, parts)


def a2a_receive(context):
    return a2a.receive_messages(context, timeout=10.0)


def slim_publish(name, payload):
    slim.publish(name, bytes.fromhex(payload))


def slim_receive(name):
    return [payload.hex() for payload in slim.receive(name, timeout=10.0)]


def mcp_write(name, message):
    asyncio.run(SkytaleTransport(manager, name).write(message))


def mcp_read(name):
    return asyncio.run(asyncio.wait_for(SkytaleTransport(manager, name).read(), 10.0))


def begin_bridge(source, target, source_protocol, target_protocol):
    bridge.bridge(source, target, Protocol(source_protocol), Protocol(target_protocol))


COMMANDS = {
    function.__name__: function
    for function in (
        open_client, create, join, key_package, add, a2a_send, a2a_receive, slim_publish, slim_receive, mcp_write, mcp_read, begin_bridge
    )
}  # fmt: skip

if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"ok": COMMANDS[order.pop("do")](**order)}
        except Exception as error:  # Whatever it is, it is the answer.
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)
