"""A daemon that says exactly what a test tells it to, on a free loopback port."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Seen:
    """A request as the daemon received it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """An ordinary answer."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Stream:
    """An event stream: the parts are written, then the connection is cut, ended cleanly or held open."""

    parts: list[str]
    then: str = "hold"


class Reset:
    """The connection is reset after the request was read."""


class Daemon:
    """Answers each route with its scripted answers in order; the last one is repeated."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._script: dict[tuple[str, str], deque[Any]] = {}
        self._stopping = threading.Event()
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                daemon._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def on(self, method: str, path: str, *answers: Any) -> Daemon:
        self._script[method, path] = deque(answers)
        return self

    def to(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        length = int(handler.headers.get("content-length", 0))
        raw = handler.rfile.read(length)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = json.loads(raw) if raw else None
        self.seen.append(Seen(handler.command, url.path, dict(parse_qsl(url.query)), headers, body))
        answers = self._script.get((handler.command, url.path), deque([Answer(None, 404)]))
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(answer, Reset):
            _reset(handler)
        elif isinstance(answer, Stream):
            self._stream(handler, answer)
        else:
            _plain(handler, answer)

    def _stream(self, handler: BaseHTTPRequestHandler, stream: Stream) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for part in stream.parts:
            data = part.encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.close_connection = True
        if stream.then == "end":
            handler.wfile.write(b"0\r\n\r\n")
        elif stream.then == "hold":
            self._stopping.wait(20)


def _plain(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    is_text = isinstance(answer.body, str)
    data = answer.body.encode() if is_text else b"" if answer.body is None else json.dumps(answer.body).encode()
    handler.send_response(answer.status)
    handler.send_header("content-type", "text/plain" if is_text else "application/json")
    handler.send_header("content-length", str(len(data)))
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def event(seq: int, text: str = "", **fields: Any) -> str:
    """Returns an event of the message stream, as our daemon writes it."""
    data = {
        "seq": seq,
        "id": f"m{seq}",
        "type": "message.send",
        "from": "toq://localhost:1/bob",
        "body": {"text": text or f"text {seq}"},
        "thread_id": "t1",
        "timestamp": "2026-11-21T01:19:50.4Z",
        **fields,
    }
    return f"id: {seq}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def error(code: str, status: int, **fields: Any) -> Answer:
    return Answer({"error": {"code": code, "message": f"it said {code}", **fields}}, status)
