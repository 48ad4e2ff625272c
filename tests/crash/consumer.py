"""The application on one side: reads the durable consumer stream and confirms what it read.

Everything happens in one thread, so the log it writes is in the order of events: an offer read after the answer to a
confirmation was really made by a daemon that had confirmed.
"""

import http.client
import json
import queue
import random
import socket
import threading

from checker import Confirmation, Offer
from daemon import Daemon

NAME = "checker"
# Keep-alive comments come every 15 s; a stream that is silent for longer than this is dead.
SILENCE = 40.0
DEFER = 0.2


class Consumer(threading.Thread):
    """Logs each event and each confirmation."""

    def __init__(self, daemon: Daemon, seed: str):
        super().__init__(name=f"consumer of {daemon.name}", daemon=True)
        self.daemon_process = daemon
        self.log: queue.SimpleQueue[Offer | Confirmation] = queue.SimpleQueue()
        self.surprises: list[str] = []
        self._random = random.Random(seed)
        self._call = daemon.call()
        self._stream: http.client.HTTPConnection | None = None
        self._is_eager = False
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            if not self.daemon_process.up.wait(0.05):
                continue
            try:
                self._read_until_cut()
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                # A cut may fall anywhere, even between the bytes of a line; what was whole has been noted.
                self._stopping.wait(0.01)

    def stop(self) -> None:
        self._stopping.set()
        self._cut()

    def hurry(self) -> None:
        """Confirms everything at once from now on; the reconnection brings back what was left unconfirmed."""
        self._is_eager = True
        self._cut()

    def is_idle(self) -> bool:
        try:
            status, consumer = self.daemon_process.call()("GET", f"/v1/consumers/{NAME}")
        except OSError:
            return False
        return status == 200 and consumer["pending"] == 0

    def _read_until_cut(self) -> None:
        stream = http.client.HTTPConnection("127.0.0.1", self.daemon_process.port, timeout=SILENCE)
        self._stream = stream
        try:
            stream.request("GET", f"/v1/messages?consumer={NAME}&since=0")
            answer = stream.getresponse()
            if answer.status != 200:
                self.surprises.append(f"GET /v1/messages?consumer: {answer.status} {answer.read()!r}")
                return
            deferred: list[str] = []
            while line := answer.readline():
                if line.startswith(b"data: ") and line.endswith(b"\n"):
                    deferred = self._take(json.loads(line[len(b"data: ") :]), deferred)
        finally:
            stream.close()

    def _take(self, event: dict, deferred: list[str]) -> list[str]:
        """Notes an event and confirms it with those put off before; returns what is put off now."""
        self.log.put(Offer(event["id"], event["body"]["text"], event.get("redelivered") is True))
        due = [*deferred, event["id"]]
        if not self._is_eager and len(due) < 4 and self._random.random() < DEFER:
            return due
        status = None
        try:
            status, answer = self._call("POST", f"/v1/consumers/{NAME}/confirm", {"ids": due})
        finally:
            for message_id in due:
                self.log.put(Confirmation(message_id, status == 200))
        if status not in (200, 503):
            self.surprises.append(f"confirm {due}: {status} {answer}")
        return []

    def _cut(self) -> None:
        stream = self._stream
        if stream is not None and stream.sock is not None:
            try:
                stream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return
