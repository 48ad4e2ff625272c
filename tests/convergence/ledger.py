"""Decides whether members of a channel kept together and missed nothing.

It is fed with what members' processes said, in the order in which each said it, and never asks one, so hand-made ledgers
test it (test_ledger.py). A message is known by its token, the text of its body; a member by its name; one process of a member is
a life. The relay of a run is honest, so a member that complains of it, or of another member, is wrong.
"""

from collections import defaultdict
from dataclasses import dataclass, field

# What happens to members in a run in which nobody misbehaves.
HARMLESS = {"member_added", "member_removed", "key_rotated", "owners_changed", "removed"}


@dataclass(frozen=True)
class Violation:
    rule: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: {self.detail}"


@dataclass
class Said:
    """What its sender knows of a message."""

    sender: str
    is_kept: bool = False
    place: int | None = None


@dataclass
class Life:
    last_place: int = 0
    epoch: int = 0
    heard: set[str] = field(default_factory=set)


class Ledger:
    """Collects violations; the same one is reported once."""

    def __init__(self):
        self.violations: list[Violation] = []
        self.said: dict[str, Said] = {}
        self.epochs: dict[int, tuple[str, str]] = {}
        self._heard: dict[str, set[str]] = defaultdict(set)
        self._places: dict[int, tuple[str, str]] = {}
        self._tokens: dict[str, int] = {}
        self._lives: dict[tuple[str, int], Life] = defaultdict(Life)
        self._reported: set[tuple[str, str]] = set()

    def says(self, member: str, token: str) -> None:
        """A member was told to say something; whether it did is not known yet."""
        self.said[token] = Said(member)

    def kept(self, token: str) -> None:
        """Its sender has it on the disk: everybody must hear it."""
        self.said[token].is_kept = True

    def acknowledged(self, token: str, place: int) -> None:
        """The relay has it at this place: everybody must hear it there."""
        self.said[token].place = place
        self._stands(token, place, self.said[token].sender)

    def heard(self, member: str, life: int, place: int, token: str) -> None:
        """A member heard something. What it had heard in an earlier life may come again."""
        now = self._lives[member, life]
        if token in now.heard:
            self._report("heard-twice", token, f"by {member} in one life, at {place}")
        if place <= now.last_place:
            self._report("out-of-order", token, f"{member} heard {place} after {now.last_place}")
        if token not in self.said:
            self._report("never-said", token, f"heard by {member}")
        elif self.said[token].sender == member:
            self._report("heard-its-own", token, f"by {member}")
        now.heard.add(token)
        now.last_place = max(now.last_place, place)
        self._heard[member].add(token)
        self._stands(token, place, member)

    def at(self, member: str, life: int, epoch: int, authenticator: str) -> None:
        """A member is in this epoch (INV-8)."""
        known, by = self.epochs.setdefault(epoch, (authenticator, member))
        if known != authenticator:
            self._report("two-histories", f"epoch {epoch}", f"{member} has another one than {by}")
        now = self._lives[member, life]
        if epoch < now.epoch:
            self._report("went-back", member, f"from epoch {now.epoch} to {epoch} in one life")
        now.epoch = max(now.epoch, epoch)

    def happened(self, member: str, kind: str, detail: str) -> None:
        """A member reports something."""
        if kind not in HARMLESS:
            self._report("false-alarm", f"{member} {kind}", detail)

    def failed(self, member: str, what: str, why: str) -> None:
        """Something that a living member was told to do came to nothing."""
        self._report("failed", f"{member} {what}", why)

    def stuck(self, who: str, detail: str) -> None:
        """Somebody does not come to an end."""
        self._report("stuck", who, detail)

    def finish(self, members: list[str]) -> list[Violation]:
        """Relates everything, once all members are online and nothing is on its way."""
        for token, said in self.said.items():
            if not said.is_kept and said.place is None:
                continue
            rule = "kept-but-lost" if said.place is None else "acknowledged-but-lost"
            missing = [member for member in members if member != said.sender and token not in self._heard[member]]
            if missing:
                self._report(rule, token, f"not heard by {', '.join(missing)}")
        return self.violations

    def missing(self, members: list[str]) -> int:
        """How many messages that somebody must hear were not heard yet."""
        due = [(token, said.sender) for token, said in self.said.items() if said.is_kept or said.place is not None]
        return sum(token not in self._heard[member] for token, sender in due for member in members if member != sender)

    def count_heard(self) -> int:
        return sum(len(tokens) for tokens in self._heard.values())

    def _stands(self, token: str, place: int, witness: str) -> None:
        known, by = self._places.setdefault(place, (token, witness))
        if known != token:
            self._report("two-texts", f"place {place}", f"{token} for {witness}, {known} for {by}")
        if self._tokens.setdefault(token, place) != place:
            self._report("said-twice", token, f"at {self._tokens[token]} and at {place}")

    def _report(self, rule: str, subject: str, detail: str) -> None:
        if (rule, subject) not in self._reported:
            self._reported.add((rule, subject))
            self.violations.append(Violation(rule, subject, detail))
