"""Chooses who dies in each round, and how. The same seed gives the same plan."""

import random
from dataclasses import dataclass

POINTS = [
    "before-outbox-commit",
    "after-outbox-commit",
    "before-frame-write",
    "after-frame-write",
    "before-inbox-commit",
    "after-inbox-commit",
    "after-ack-write",
    "before-delivered-commit",
    "after-delivered-commit",
    "before-offer",
    "before-confirm-commit",
    "after-confirm-commit",
]

# What gives each broken variant away: a kill at the moment its mistake is open.
TELLING = {"ack-before-commit": ["before-inbox-commit"]}

RANDOM_SHARE = 0.2
FULL_RUN = 60


@dataclass(frozen=True)
class Plan:
    """One round. With a point, the first victim runs into it; other victims are killed after `delay` seconds."""

    victims: tuple[str, ...]
    point: str | None
    nth: int
    delay: float

    @property
    def arm(self) -> str | None:
        return f"{self.point}:{self.nth}" if self.point else None

    def __str__(self) -> str:
        return f"{'+'.join(self.victims):9} {self.arm or f'at {self.delay:.2f} s':27}"


class Plans:
    """Deals the points like a deck of cards, so that a full run meets every one of them several times."""

    def __init__(self, seed: int, fault: str | None):
        self._random = random.Random(f"plan {seed}")
        self._telling = TELLING.get(fault, [])
        self._deck: list[str] = []

    def next(self) -> Plan:
        victims = self._random.choice([("alice",), ("bob",), ("alice", "bob"), ("bob", "alice")])
        nth, delay = self._random.randint(1, 12), self._random.uniform(0.02, 0.4)
        if self._telling and self._random.random() < 0.5:
            return Plan(victims, self._random.choice(self._telling), nth, delay)
        if self._random.random() < RANDOM_SHARE:
            return Plan(victims, None, nth, delay)
        if not self._deck:
            self._deck = self._random.sample(POINTS, len(POINTS))
        return Plan(victims, self._deck.pop(), nth, delay)
