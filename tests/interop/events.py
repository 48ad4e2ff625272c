"""Listens to the event stream of a daemon and keeps what arrived."""

import json
import threading
import time

import httpx

DEADLINE = 15.0


class Listener:
    """Reads `GET /v1/messages` as the published clients do: only lines beginning with `data: ` count."""

    def __init__(self, daemon, **params):
        self._events: list[dict] = []
        self._news = threading.Condition(threading.RLock())
        self._client = httpx.Client(timeout=httpx.Timeout(60, connect=5), trust_env=False)
        # The answer's headers mean that the subscription exists, so nothing sent from now on can be missed.
        request = self._client.build_request("GET", f"{daemon.url}/v1/messages", params=params)
        self._response = self._client.send(request, stream=True)
        assert self._response.status_code == 200
        assert self._response.headers["content-type"].startswith("text/event-stream")
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._client.close()

    def events(self, sender: str | None = None) -> list[dict]:
        """Everything so far, or only what came from `sender`: the published daemon streams its own sends too."""
        with self._news:
            return [event for event in self._events if sender is None or event["from"] == sender]

    def wait(self, count: int, sender: str | None = None, deadline: float = DEADLINE) -> list[dict]:
        """Returns the first `count` events from `sender` as soon as they are there."""
        end = time.monotonic() + deadline
        with self._news:
            while True:
                found = self.events(sender)
                if len(found) >= count:
                    return found[:count]
                left = end - time.monotonic()
                assert left > 0, f"{len(found)} of {count} events after {deadline} s: {found[-3:]}"
                self._news.wait(left)

    def _read(self) -> None:
        try:
            for line in self._lines():
                if line.startswith(b"data: "):
                    self._keep(json.loads(line[len(b"data: ") :]))
        except (httpx.HTTPError, httpx.StreamError, OSError):
            return

    def _lines(self):
        """Splits at line feeds only: httpx would also split at U+2028, which JSON may carry unescaped."""
        rest = b""
        for piece in self._response.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def _keep(self, event: dict) -> None:
        with self._news:
            self._events.append(event)
            self._news.notify_all()
