"""Decides whether a run kept the promise.

Three ledgers are compared: what senders were told, what the stores hold, and what the consumer saw. The checker is
fed as the run goes and never asks a daemon anything, so hand-made ledgers test it (test_checker.py).

A message is known by its token, the text of its body. The token names the intended message, not an attempt to send
it, so it also catches a retry that became a second message under a second id. It reads `<thread>/<place>`, where
place counts the sends of that thread in the order their sender made them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What the sender knows about a send."""

    ACCEPTED = "accepted"  # answered with an id: must be delivered in the end
    DELIVERED = "delivered"  # answered as acknowledged by the peer: must be in the peer's store now
    MISADDRESSED = "misaddressed"  # addressed to somebody else: must never show up
    REFUSED = "refused"  # answered as never sent or turned down: must never show up
    UNKNOWN = "unknown"  # the connection died: at most once


@dataclass(frozen=True)
class Send:
    """One intended message, with every id that was answered for it; a retry under the same key may add a second."""

    token: str
    sender: str
    receiver: str
    outcome: Outcome
    ids: tuple[str, ...] = ()
    # Whether the sender has a store that can be asked what became of it.
    is_kept: bool = True


@dataclass(frozen=True)
class Row:
    """One incoming row of a receiver's history."""

    id: str
    token: str
    seq: int


@dataclass(frozen=True)
class Offer:
    """One event a consumer was given; new unless marked as redelivered."""

    id: str
    token: str
    redelivered: bool = False


@dataclass(frozen=True)
class Confirmation:
    """One id the consumer asked to confirm; answered if the daemon said so, else it may or may not have counted."""

    id: str
    is_answered: bool = True


@dataclass(frozen=True)
class Violation:
    rule: str
    token: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.token}: {self.detail}"


@dataclass
class Box:
    """What is known about one receiver."""

    rows: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    new: set[str] = field(default_factory=set)
    offered: dict[str, str] = field(default_factory=dict)
    offered_tokens: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)
    last_place: dict[str, int] = field(default_factory=dict)


class Checker:
    """Collects violations; the same one is reported once."""

    def __init__(self):
        self.violations: list[Violation] = []
        self.sends: dict[str, Send] = {}
        self._boxes: dict[str, Box] = defaultdict(Box)
        self._states: dict[str, str | None] = {}
        self._claimed: dict[str, Send] = {}
        self._reported: set[tuple[str, str]] = set()

    def sent(self, send: Send) -> None:
        """Takes the final word a sender had on one message."""
        self.sends[send.token] = send
        if len(set(send.ids)) > 1:
            self._report("two-ids-for-one-send", send.token, f"answered {', '.join(send.ids)}")
        if send.outcome is Outcome.DELIVERED:
            self._claimed[send.token] = send
        self._forbid(send.receiver, send.token)

    def state(self, token: str, message_id: str, state: str | None) -> None:
        """Takes the state the sender's store shows now; None means that it does not know the id it once answered."""
        self._states[message_id] = state
        if state is None:
            self._report("accepted-but-forgotten", token, f"{message_id} is unknown to its sender")
        if state == "delivered" and token in self.sends:
            self._claimed[token] = self.sends[token]

    def stored(self, receiver: str, row: Row) -> None:
        """Takes a row of a receiver's history; the same row may be shown again."""
        ids = self._boxes[receiver].rows[row.token]
        ids[row.id].add(row.seq)
        if len(ids[row.id]) > 1:
            self._report("two-rows-for-one-id", row.token, f"{row.id} at {sorted(ids[row.id])} of {receiver}")
        if len(ids) > 1:
            self._report("two-messages-for-one-send", row.token, f"{', '.join(ids)} at {receiver}")
        self._forbid(receiver, row.token)

    def offered(self, receiver: str, offer: Offer) -> None:
        """Takes an event in the order the consumer read it."""
        box = self._boxes[receiver]
        if offer.id in box.confirmed:
            self._report("offered-after-confirmation", offer.token, f"{offer.id} to the consumer of {receiver}")
        if not offer.redelivered:
            if offer.id in box.new:
                self._report("offered-as-new-twice", offer.token, f"{offer.id} to the consumer of {receiver}")
            box.new.add(offer.id)
        if offer.id not in box.offered:
            self._keep_order(box.last_place, offer.token, f"offered by {receiver}")
        box.offered[offer.id] = offer.token
        box.offered_tokens.add(offer.token)
        self._forbid(receiver, offer.token)

    def confirmed(self, receiver: str, confirmation: Confirmation) -> None:
        """Takes a confirmation, in order with the offers."""
        box = self._boxes[receiver]
        box.asked.add(confirmation.id)
        if confirmation.is_answered:
            box.confirmed.add(confirmation.id)

    def inspect(self) -> list[Violation]:
        """Relates the ledgers as far as is fair while traffic flows; the rows must have been read after the rest."""
        for token, send in self._claimed.items():
            if token not in self._boxes[send.receiver].rows:
                self._report("delivered-but-lost", token, f"{', '.join(send.ids)} is not at {send.receiver}")
        self._claimed.clear()
        return self.violations

    def finish(self) -> list[Violation]:
        """Relates everything, once the outboxes are empty, the consumers idle and all rows read."""
        self.inspect()
        for send in self.sends.values():
            self._finish_send(send)
        for receiver, box in self._boxes.items():
            self._finish_box(receiver, box)
        return self.violations

    def _finish_send(self, send: Send) -> None:
        if send.outcome not in (Outcome.ACCEPTED, Outcome.DELIVERED):
            return
        if send.token not in self._boxes[send.receiver].rows:
            self._report("accepted-but-lost", send.token, f"{', '.join(send.ids)} is not at {send.receiver}")
        for message_id in send.ids if send.is_kept else ():
            state = self._states.get(message_id, "never asked about")
            if state != "delivered":
                self._report("accepted-but-unfinished", send.token, f"{message_id} is {state} at {send.sender}")

    def _finish_box(self, receiver: str, box: Box) -> None:
        stored = {message_id for ids in box.rows.values() for message_id in ids}
        for token, ids in box.rows.items():
            for message_id in ids.keys() - box.offered.keys():
                self._report("never-offered", token, f"{message_id} to the consumer of {receiver}")
            for message_id in ids.keys() - box.asked:
                self._report("settled-without-confirmation", token, f"{message_id} at {receiver}")
        for message_id in box.offered.keys() - stored:
            self._report("offered-without-a-row", box.offered[message_id], f"{message_id} at {receiver}")
        by_seq = sorted((min(seqs), token) for token, ids in box.rows.items() for seqs in ids.values())
        last_place: dict[str, int] = {}
        for _, token in by_seq:
            self._keep_order(last_place, token, f"stored by {receiver}")

    def _forbid(self, receiver: str, token: str) -> None:
        send = self.sends.get(token)
        box = self._boxes[receiver]
        if send is None or send.outcome not in (Outcome.MISADDRESSED, Outcome.REFUSED):
            return
        if token in box.rows or token in box.offered_tokens:
            self._report(f"{send.outcome.value}-but-delivered", token, f"shows up at {receiver}")

    def _keep_order(self, last_place: dict[str, int], token: str, where: str) -> None:
        thread, _, place = token.rpartition("/")
        if int(place) < last_place.get(thread, 0):
            self._report("out-of-order", token, f"{where} after place {last_place[thread]}")
        last_place[thread] = max(int(place), last_place.get(thread, 0))

    def _report(self, rule: str, token: str, detail: str) -> None:
        if (rule, token) not in self._reported:
            self._reported.add((rule, token))
            self.violations.append(Violation(rule, token, detail))
