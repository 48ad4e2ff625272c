"""Everything that lives during a run: two daemons, their clients, the attacker, and the checker that watches them."""

import queue
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from checker import Checker, Offer, Outcome, Violation
from consumer import Consumer
from daemon import Daemon, Surprise
from mallory import Mallory
from plan import Plan
from stores import Store
from traffic import senders

# An armed point that is not reached by then is given up, and the round ends with a plain kill.
HIT_DEADLINE = 1.0
QUIET_DEADLINE = 90.0


class House:
    def __init__(self, binary: str, seed: int, fault: str | None):
        self.root = Path(tempfile.mkdtemp(prefix="toq-crash-"))
        self.daemons = {name: Daemon(binary, self.root, name, fault) for name in ("alice", "bob")}
        alice, bob = self.daemons.values()
        self.senders = senders(alice, bob, seed)
        self.consumers = [Consumer(daemon, f"{seed} consumer {daemon.name}") for daemon in (alice, bob)]
        self.stores = {daemon.name: Store(daemon) for daemon in (alice, bob)}
        self.mallory = Mallory(bob, seed)
        self.checker = Checker()
        self.hits: Counter[str] = Counter()
        self.sent = self.offered = 0
        # Accepted ids that their sender does not call delivered yet: (sender, token, id).
        self._waiting: list[tuple[str, str, str]] = []

    def open(self) -> None:
        for daemon in self.daemons.values():
            daemon.start()
        for thread in [*self.consumers, *self.senders]:
            thread.start()

    def crash(self, plan: Plan, number: int) -> str:
        """Lets the victims of a round die, brings them back, and says what happened."""
        first, *others = [self.daemons[name] for name in plan.victims]
        began = time.monotonic()
        if plan.point:
            first.kill()
            is_up = first.start(plan.arm)
            self.mallory.strike(number)
            for other in others:
                other.wait(plan.delay)
                other.kill()
            if is_up and not first.wait(HIT_DEADLINE):
                first.kill()
        else:
            self.mallory.strike(number)
            for victim in (first, *others):
                victim.wait(plan.delay)
                victim.kill()
        took = time.monotonic() - began
        hits = first.hits()
        self.hits.update(hits)
        for victim in (first, *others):
            victim.start()
        self.mallory.join()
        how = "random" if plan.point is None else "hit" if plan.point in hits else "missed"
        return f"{how:6} after {took:.2f} s"

    def inspect(self) -> list[Violation]:
        """Checks what may be checked while traffic flows. The order of reading matters: answers before rows."""
        self._require_life()
        self._drain()
        self._ask_states(limit=150)
        for name, store in self.stores.items():
            for row in store.news():
                self.checker.stored(name, row)
        return self._verdict(self.checker.inspect())

    def finish(self) -> list[Violation]:
        """Ends the traffic, waits until nothing is on its way, and checks everything."""
        for sender in self.senders:
            sender.stop()
        for consumer in self.consumers:
            consumer.hurry()
        self._until(lambda: all(store.outbox() == 0 for store in self.stores.values()), "empty outboxes")
        self._until(lambda: all(consumer.is_idle() for consumer in self.consumers), "idle consumers")
        for consumer in self.consumers:
            consumer.stop()
        self._drain()
        self._ask_states(limit=None)
        for name, store in self.stores.items():
            rows, states = store.everything()
            for row in rows:
                self.checker.stored(name, row)
            for message_id, (token, state) in states.items():
                self.checker.state(token, message_id, state)
        return self._verdict(self.checker.finish())

    def close(self) -> None:
        for daemon in self.daemons.values():
            daemon.up.clear()
        for sender in self.senders:
            sender.stop()
        for daemon in self.daemons.values():
            daemon.stop()

    def discard(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def answers(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for sender in self.senders:
            total.update(sender.answers)
        return total

    def _drain(self) -> None:
        """Feeds the checker what the clients noted since the last time."""
        for send in drained(*(sender.told for sender in self.senders), self.mallory.told):
            self.sent += 1
            self.checker.sent(send)
            if send.sender in self.daemons and send.outcome is not Outcome.REFUSED:
                self._waiting += [(send.sender, send.token, message_id) for message_id in set(send.ids)]
        for consumer in self.consumers:
            for entry in drained(consumer.log):
                if isinstance(entry, Offer):
                    self.offered += 1
                    self.checker.offered(consumer.daemon_process.name, entry)
                else:
                    self.checker.confirmed(consumer.daemon_process.name, entry)

    def _ask_states(self, limit: int | None) -> None:
        """Asks the senders' stores about accepted ids, newest first, until they are delivered."""
        asked = self._waiting if limit is None else self._waiting[-limit:]
        kept = [] if limit is None else self._waiting[:-limit]
        for sender, token, message_id in asked:
            state = self.stores[sender].state(message_id)
            self.checker.state(token, message_id, state)
            if state == "accepted":
                kept.append((sender, token, message_id))
        self._waiting = kept

    def _verdict(self, found: list[Violation]) -> list[Violation]:
        surprises = [text for client in (*self.senders, *self.consumers) for text in client.surprises]
        return [*found, *(Violation("surprise", "-", text) for text in surprises)]

    def _require_life(self) -> None:
        for daemon in self.daemons.values():
            if daemon.process.poll() is not None:
                raise Surprise(f"{daemon.name} died by itself with {daemon.process.returncode}")

    def _until(self, question, what: str) -> None:
        end = time.monotonic() + QUIET_DEADLINE
        while not question():
            self._require_life()
            if time.monotonic() > end:
                state = {name: store.outbox() for name, store in self.stores.items()}
                raise Surprise(f"no {what} after {QUIET_DEADLINE} s; outboxes: {state}")
            self.daemons["alice"].wait(0.05)


def drained(*queues: queue.SimpleQueue) -> list:
    """Empties queues that other threads go on filling."""
    found = []
    for each in queues:
        for _ in range(each.qsize()):
            found.append(each.get())
    return found

