"""The least of a toq 0.1 initiator: enough to say things a well-behaved daemon never would.

The TLS certificate is not verified, as the protocol asks; the peer's signatures are not either, since nothing here
trusts the answers with more than "was this id acknowledged".
"""

import base64
import json
import os
import socket
import ssl
import struct
import uuid
from datetime import datetime, timezone

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAGIC = b"TOQ\x01"
FIRST_FREE_SEQUENCE = 2
TIMEOUT = 2.0


class Identity:
    def __init__(self, address: str):
        self.address = address
        self._key = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = tagged(raw)

    def sign(self, message: bytes) -> str:
        return tagged(self._key.sign(message))

    def envelope(self, kind: str, to: str, sequence: int, body, **members) -> bytes:
        """Builds a signed envelope, framed and ready to be written, or written again."""
        envelope = {
            "version": "0.1",
            "id": str(uuid.uuid4()),
            "type": kind,
            "from": self.address,
            "to": [to],
            "sequence": sequence,
            "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "body": body,
        } | members
        # Sorted members without whitespace are the canonical bytes, as long as there are no floats.
        signature = self.sign(json.dumps(envelope, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        return frame(envelope | {"signature": signature})


class Session:
    """A session with a daemon, open from the constructor on. Everything may raise OSError: the daemon may be dying."""

    def __init__(self, identity: Identity, port: int, target: str):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._tls = context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise
        self._open(identity, f"toq://127.0.0.1:{port}/{target}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tls.close()

    def write(self, framed: bytes) -> None:
        self._tls.sendall(framed)

    def read(self) -> dict:
        (length,) = struct.unpack(">I", self._exactly(4))
        return json.loads(self._exactly(length))

    def acknowledges(self, message_id: str) -> bool:
        """Reads until the ack of this id; false when the daemon answers otherwise, hangs up or stays silent."""
        try:
            while True:
                answer = self.read()
                if answer["type"] == "message.ack":
                    return answer["body"]["ack_id"] == message_id
                if answer["type"] == "system.error":
                    return False
        except OSError:
            return False

    def _open(self, identity: Identity, to: str) -> None:
        challenge = os.urandom(32)
        credentials = {
            "public_key": identity.public_key,
            "challenge": base64.b64encode(challenge).decode(),
            "challenge_signature": identity.sign(challenge),
            "address": identity.address,
            "protocol_version": "0.1",
            "target_agent": to.rpartition("/")[2],
        }
        features = {"streaming": True, "compression": [], "e2e_encryption": False}
        card = {"name": "mallory", "public_key": identity.public_key, "protocol_version": "0.1"}
        self.write(MAGIC + frame(credentials))
        if "error" in (reply := self.read()):
            raise ConnectionError(reply["error"])
        request = {"supported_versions": ["0.1"], "features": features}
        self.write(identity.envelope("negotiate.request", to, 0, request))
        if (answer := self.read())["type"] != "negotiate.response":
            raise ConnectionError(f"negotiation ended with {answer['type']}")
        self.write(identity.envelope("card.exchange", to, 1, card))
        while self.read()["type"] != "card.exchange":
            continue

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._tls.recv(count - len(data))
            if not piece:
                raise ConnectionError("the daemon hung up")
            data += piece
        return data


def tagged(raw: bytes) -> str:
    return "ed25519:" + base64.b64encode(raw).decode()


def frame(value: dict) -> bytes:
    payload = json.dumps(value, ensure_ascii=False).encode()
    return struct.pack(">I", len(payload)) + payload
