"""Chooses what happens in each round: who dies, where, when, and who lets a guest in. The same seed gives the same script."""

import random
from dataclasses import dataclass

# Where a member can be made to end, as `kill -9` would end it (`fault::point` in member/src), and how often it comes by there in a
# round, about.
POINTS = {
    "decided": 2,
    "committed": 2,
    "staging": 4,
    "staged": 4,
    "publish": 3,
    "published": 3,
    "accepted": 3,
    "entering": 12,
    "entered": 12,
}

# Between making the change that lets a guest in and having told of its Welcome.
HOSTING = ["staged", "published", "accepted", "entering", "entered"]

# Rounds from which on every point must have been met, the relay killed and a guest let in.
FULL_RUN = 60
RANDOM_SHARE = 0.3
RELAY_SHARE = 0.12
GUEST_SHARE = 0.3


@dataclass(frozen=True)
class Death:
    """One member's end: at the nth time at a point, or after `delay` seconds where there is none."""

    member: int
    point: str | None
    nth: int
    delay: float

    @property
    def arm(self) -> str | None:
        return f"{self.point}:{self.nth}" if self.point else None

    def __str__(self) -> str:
        return f"{self.member}@{self.arm or f'{self.delay:.2f}s'}"


@dataclass(frozen=True)
class Round:
    deaths: tuple[Death, ...]
    # Seconds until the relay is killed.
    relay: float | None
    # Who lets a guest in.
    host: int | None

    def __str__(self) -> str:
        what = [str(death) for death in self.deaths]
        what += [f"relay@{self.relay:.2f}s"] if self.relay is not None else []
        what += [f"guest of {self.host}"] if self.host is not None else []
        return " ".join(what) or "nobody dies"


class Script:
    """Deals the points like a deck of cards, so that a full run meets every one of them several times."""

    def __init__(self, seed: int, members: int):
        self._random = random.Random(f"script {seed}")
        self._members = members
        self._deck: list[str] = []

    def next(self) -> Round:
        dice = self._random
        victims = dice.sample(range(self._members), min(dice.choice([0, 1, 1, 2, 2, 3]), self._members))
        host = dice.randrange(self._members) if dice.random() < GUEST_SHARE else None
        relay = dice.uniform(0.02, 0.5) if dice.random() < RELAY_SHARE else None
        deaths = [self._death(victim) for victim in victims if victim != host]
        if host is not None and dice.random() < 0.8:
            deaths.append(Death(host, dice.choice(HOSTING), dice.randint(1, 3), 0.0))
        return Round(tuple(deaths), relay, host)

    def _death(self, victim: int) -> Death:
        delay = self._random.uniform(0.01, 0.6)
        if self._random.random() < RANDOM_SHARE:
            return Death(victim, None, 0, delay)
        if not self._deck:
            self._deck = self._random.sample(list(POINTS), len(POINTS))
        point = self._deck.pop()
        return Death(victim, point, self._random.randint(1, POINTS[point]), delay)
