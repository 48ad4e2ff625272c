"""Senders: threads that keep sending from one daemon to the other and note what they were told."""

import queue
import random
import threading
import uuid

from checker import Outcome, Send
from daemon import Daemon

# Enough to reach every crash point in a fraction of a second, little enough that a check of a round stays cheap.
PACE = 0.02
MESSAGES_PER_THREAD = 25
# Outlasts any restart; a send that is still unanswered then stays unknown.
RETRIES = 2000
REFUSED_STATES = ("withdrawn", "rejected")
PASSING = (502, 503, 504, 507)


class Sender(threading.Thread):
    """One client program. Its threads are its own, so the order of their places is the order it was answered in."""

    def __init__(self, name: str, source: Daemon, target: Daemon, seed: str):
        super().__init__(name=name, daemon=True)
        self.source, self.target = source, target
        self.told: queue.SimpleQueue[Send] = queue.SimpleQueue()
        self.answers: dict[str, int] = {}
        self.surprises: list[str] = []
        self._random = random.Random(seed)
        self._call = source.call()
        self._stopping = threading.Event()

    def run(self) -> None:
        place = 0
        while not self._stopping.is_set():
            if not self.source.up.wait(PACE):
                continue
            thread, position = divmod(place, MESSAGES_PER_THREAD)
            self._send(f"{self.name}-{thread}/{position}", position == MESSAGES_PER_THREAD - 1)
            place += 1
            self._stopping.wait(PACE * self._random.uniform(0.5, 1.5))

    def stop(self) -> None:
        self._stopping.set()
        if self.is_alive():
            self.join()

    def _send(self, token: str, is_last: bool) -> None:
        body = {
            "to": self.target.address,
            "body": {"text": token},
            "thread_id": token.rpartition("/")[0],
            "close_thread": is_last,
        }
        path = f"/v1/messages?wait={self._random.choice(['true', 'false'])}&timeout=1"
        if self._random.random() < 0.4:
            told = self._send_with_key(token, path, body)
        else:
            told = self._judge(token, self._ask(path, body, {}))
        if told is not None:
            self.told.put(told)

    def _send_with_key(self, token: str, path: str, body: dict) -> Send | None:
        """Repeats the request under one key until it is answered, and sometimes once more after that."""
        key = {"Idempotency-Key": uuid.UUID(int=self._random.getrandbits(128)).hex}
        for _ in range(RETRIES):
            told = self._judge(token, self._ask(path, body, key))
            if told is not None and told.ids:
                return self._repeat(told, path, body, key) if self._random.random() < 0.3 else told
            if told is not None and told.outcome is Outcome.REFUSED:
                return told
            self.source.up.wait(PACE)
            self._stopping.wait(0.005)
        return Send(token, self.source.name, self.target.name, Outcome.UNKNOWN)

    def _repeat(self, told: Send, path: str, body: dict, key: dict) -> Send:
        again = self._judge(told.token, self._ask(path, body, key))
        if again is None:
            return told
        return Send(told.token, told.sender, told.receiver, told.outcome, told.ids + again.ids)

    def _ask(self, path: str, body: dict, headers: dict) -> tuple[int, dict] | None | OSError:
        try:
            return self._call("POST", path, body, headers)
        except ConnectionRefusedError:
            return None
        except OSError as died:
            return died

    def _judge(self, token: str, answer) -> Send | None:
        """Reads an answer; None when nothing was ever sent."""
        if answer is None:
            return None
        if isinstance(answer, OSError):
            self._count("connection died")
            return self._told(token, Outcome.UNKNOWN)
        status, text = answer
        error = text.get("error", {}) if isinstance(text.get("error"), dict) else {}
        state = error.get("state")
        self._count(f"{status} {error.get('code', text.get('status', ''))} {state or ''}".strip())
        if status == 200:
            return self._told(token, Outcome.DELIVERED, text.get("id"))
        if status == 202 or state in ("accepted", "delivered"):
            outcome = Outcome.DELIVERED if state == "delivered" else Outcome.ACCEPTED
            return self._told(token, outcome, text.get("id") or error.get("id"))
        if state in REFUSED_STATES:
            return self._told(token, Outcome.REFUSED)
        if status in PASSING and not error.get("id"):
            # Says nothing about an earlier attempt under the same key, so it is no final word.
            return self._told(token, Outcome.UNKNOWN)
        self.surprises.append(f"{token}: {status} {text}")
        return self._told(token, Outcome.UNKNOWN)

    def _told(self, token: str, outcome: Outcome, message_id: str | None = None) -> Send:
        ids = (message_id,) if message_id else ()
        return Send(token, self.source.name, self.target.name, outcome, ids)

    def _count(self, answer: str) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + 1


def senders(alice: Daemon, bob: Daemon, seed: int, per_direction: int = 3) -> list[Sender]:
    """Builds the client programs of both directions."""
    return [
        Sender(f"{source.name}-{number}", source, target, f"{seed} {source.name} {number}")
        for source, target in ((alice, bob), (bob, alice))
        for number in range(per_direction)
    ]

