"""An attacker with a valid key of her own. Each round she sends bob what must not be delivered, and repeats herself."""

import queue
import random
import threading
import time
import uuid
from dataclasses import dataclass

from checker import Outcome, Send
from daemon import Daemon
from wire import FIRST_FREE_SEQUENCE, Identity, Session

CAROL = "toq://127.0.0.1:1/carol"
# Older timestamps may be refused as stale before anybody looks at the id.
MEMORY = 300.0


@dataclass(frozen=True)
class Heard:
    """A message bob acknowledged, with the very bytes that carried it."""

    token: str
    id: str
    framed: bytes
    at: float


class Mallory:
    """Strikes in the background, so that the kill of the round falls among her sessions."""

    def __init__(self, bob: Daemon, seed: int):
        self.bob = bob
        self.told: queue.SimpleQueue[Send] = queue.SimpleQueue()
        self.misaddressed = self.replayed = 0
        self._identity = Identity("toq://127.0.0.1:2/mallory")
        self._random = random.Random(f"mallory {seed}")
        self._heard: list[Heard] = []
        self._thread: threading.Thread | None = None

    def strike(self, number: int) -> None:
        self._thread = threading.Thread(target=self._strike, args=(number,), daemon=True)
        self._thread.start()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _strike(self, number: int) -> None:
        for blow in (self._misaddress, self._say, self._replay):
            try:
                blow(number)
            except OSError:
                continue

    def _misaddress(self, number: int) -> None:
        """Sends a message for carol to bob: what anybody who once got mail from a third party could do."""
        token, message_id = f"mallory-to-carol-{number}/0", str(uuid.uuid4())
        self.told.put(Send(token, "mallory", "bob", Outcome.MISADDRESSED, (message_id,), is_kept=False))
        with self._session() as session:
            session.write(self._message(CAROL, token, message_id))
            session.acknowledges(message_id)
            self.misaddressed += 1

    def _say(self, number: int) -> None:
        """Sends something honest, which an acknowledgement makes bob responsible for."""
        token, message_id = f"mallory-{number}/0", str(uuid.uuid4())
        framed = self._message(self.bob.address, token, message_id)
        outcome = Outcome.UNKNOWN
        try:
            with self._session() as session:
                session.write(framed)
                if session.acknowledges(message_id):
                    outcome = Outcome.DELIVERED
                    self._heard.append(Heard(token, message_id, framed, time.monotonic()))
        finally:
            self.told.put(Send(token, "mallory", "bob", outcome, (message_id,), is_kept=False))

    def _replay(self, _: int) -> None:
        """Repeats an acknowledged message on a new session: the same bytes, then the same id signed afresh."""
        recent = [heard for heard in self._heard if heard.at > time.monotonic() - MEMORY]
        if not recent:
            return
        heard = self._random.choice(recent[-10:])
        with self._session() as session:
            session.write(heard.framed)
            session.acknowledges(heard.id)
            session.write(self._message(self.bob.address, heard.token, heard.id, FIRST_FREE_SEQUENCE + 1))
            session.acknowledges(heard.id)
            self.replayed += 1

    def _session(self) -> Session:
        return Session(self._identity, self.bob.port, self.bob.name)

    def _message(self, to: str, token: str, message_id: str, sequence: int = FIRST_FREE_SEQUENCE) -> bytes:
        members = {"id": message_id, "thread_id": token.rpartition("/")[0], "content_type": "application/json"}
        return self._identity.envelope("message.send", to, sequence, {"text": token}, **members)
