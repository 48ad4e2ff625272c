"""The smallest name server there is: TXT records over UDP on loopback."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TXT, IN = 16, 1
NOT_FOUND = 3


@contextmanager
def name_server(records: dict[str, str]) -> Iterator[str]:
    """Answers for these names until the block ends; yields the server's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        host, port = server.getsockname()

        def serve() -> None:
            while (received := server.recvfrom(4096))[0]:
                query, asker = received
                server.sendto(_answer(query, records), asker)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{host}:{port}"
        server.sendto(b"", (host, port))
        thread.join()


def _answer(query: bytes, records: dict[str, str]) -> bytes:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    question = query[12 : at + 5]
    text = records.get(".".join(labels).lower()) if kind == TXT else None
    if text is None:
        return query[:2] + struct.pack("!HHHHH", 0x8180 | NOT_FOUND, 1, 0, 0, 0) + question
    data = bytes([len(text)]) + text.encode()
    answer = struct.pack("!HHHIH", 0xC00C, TXT, IN, 0, len(data)) + data
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + answer
