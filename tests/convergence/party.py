"""Everything that lives during a run: the relay, ten members of one channel, sometimes a guest, and the ledger of what they say."""

import queue
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from ledger import Ledger, Violation
from process import Member, Relay, Surprise
from script import Death, Round

# Nothing that works takes so long, on a machine that others use as well.
DEADLINE = 120.0
# Duplicated and reordered deliveries of a hundred, and how long one is held back at most, in milliseconds.
WEATHER = "12:8:6:40"


class Stuck(Exception):
    """Nobody comes to an end; the ledger has it."""


class Party:
    def __init__(self, toq: str, player: str, members: int, seed: int, fault: str | None):
        self.root = Path(tempfile.mkdtemp(prefix="toq-convergence-"))
        self.player, self.seed, self.fault = player, seed, fault
        self.relay = Relay(toq, self.root)
        self.ledger, self.lock = Ledger(), threading.Lock()
        self.members = [self._member(f"member-{number}") for number in range(members)]
        self.guests = 0
        self.counts: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()

    def open(self) -> None:
        self.relay.start()
        for member in self.members:
            member.start()
        first, *others = self.members
        self._do(first, "create")
        for other in others:
            self._do(other, "join", self._do(first, "add", self._do(other, "package")))
        self._converge(self.members)

    def play(self, number: int, plan: Round) -> list[Violation]:
        """Lets everybody change the group and speak at once while some die, brings those back, and waits until all agree."""
        for death in plan.deaths:
            self.members[death.member].kill()
            self.members[death.member].start(death.arm)
        guest = self._invite_guest() if plan.host is not None else None
        welcome = self.members[plan.host].ask("add", guest[1]) if guest else None
        asked = self._stir(number)
        self._strike(plan)
        for death in plan.deaths:
            self._bury(death)
        self._answers(asked)
        if guest:
            self._host(self.members[plan.host], *guest, welcome)
        self._converge(self.members)
        return self._found()

    def finish(self) -> list[Violation]:
        """A last word of everybody, and nothing may be missing."""
        words = [(member, "say", f"last word of {member.name}".replace(" ", "-")) for member in self.members]
        self._answers([(*word, self._speak(*word)) for word in words])
        names = [member.name for member in self.members]
        self._until("messages that were not heard", lambda: self._missing(names) == 0, lambda: f"{self._missing(names)} are missing")
        with self.lock:
            return list(self.ledger.finish(names))

    def close(self) -> None:
        for process in [*self.members, self.relay]:
            if process.process is not None and process.process.poll() is None:
                process.kill()

    def discard(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _member(self, name: str) -> Member:
        return Member(self.player, self.root, name, self.relay.endpoint, f"{WEATHER}:{self.seed}-{name}", self.fault, self._told)

    def _told(self, member: Member, life: int, words: list[str]) -> None:
        with self.lock:
            match words:
                case ["heard", place, token]:
                    self.ledger.heard(member.name, life, int(place), token)
                case ["at", epoch, authenticator]:
                    self.ledger.at(member.name, life, int(epoch), authenticator)
                case ["event", kind, *detail]:
                    self.ledger.happened(member.name, kind, " ".join(detail))
                case _:
                    self.ledger.failed(member.name, "speaks", f"in tongues: {' '.join(words)}")

    def _speak(self, member: Member, verb: str, token: str) -> queue.SimpleQueue:
        """`keep` is answered when it is on the member's disk, `say` when the relay has it."""
        with self.lock:
            self.ledger.says(member.name, token)
        return member.ask(verb, token)

    def _stir(self, number: int) -> list:
        """Everybody commits at once, and speaks before and after it."""
        asked = []
        for member in self.members:
            for verb in ["keep", "rotate", "say"]:
                token = f"{number}/{member.name}/{verb}"
                answer = member.ask(verb) if verb == "rotate" else self._speak(member, verb, token)
                asked.append((member, verb, token, answer))
        return asked

    def _strike(self, plan: Round) -> None:
        """Kills in the order of the delays."""
        began = time.monotonic()
        blows = [(death.delay, death) for death in plan.deaths if death.point is None]
        blows += [(plan.relay, None)] if plan.relay is not None else []
        for delay, death in sorted(blows, key=lambda blow: blow[0]):
            time.sleep(max(0.0, began + delay - time.monotonic()))
            if death is None:
                self.relay.require_life()
                self.relay.kill()
                self.relay.start()
                self.counts["relay killed"] += 1
            else:
                self.members[death.member].kill()
                self.counts["member killed"] += 1

    def _bury(self, death: Death) -> None:
        """Waits for the end that was planned, and starts the member again."""
        member = self.members[death.member]
        if death.point:
            end = time.monotonic() + 1.0
            while member.is_up and time.monotonic() < end:
                time.sleep(0.01)
            if member.is_up:
                member.kill()
                self.counts["point not reached"] += 1
            else:
                member.reap()
                self.hits[death.point] += 1
            self.counts["member killed"] += 1
        member.start()

    def _answers(self, asked: list) -> None:
        """Takes the answers to what was asked; those of the dead never come."""
        for member, verb, token, answer in asked:
            told = self._wait(member, verb, answer)
            with self.lock:
                if told is None:
                    self.counts[f"{verb}: cut off"] += 1
                elif told[0] == "error":
                    self.ledger.failed(member.name, verb, told[1])
                else:
                    self.counts[f"{verb}: done"] += 1
                    if verb == "say":
                        self.ledger.acknowledged(token, int(told[1]))
                    elif verb == "keep":
                        self.ledger.kept(token)

    def _invite_guest(self) -> tuple[Member, str]:
        self.guests += 1
        guest = self._member(f"guest-{self.guests}")
        guest.start()
        return guest, self._do(guest, "package")

    def _host(self, host: Member, guest: Member, package: str, asked: queue.SimpleQueue) -> None:
        """A guest comes in by the Welcome of its only key package, also where its host died in the middle of it, and goes again."""
        told = self._wait(host, "add", asked)
        if told is None:
            # The host may have published the change, or not; asked again with the same key package it has the Welcome.
            self.counts["guest: host died"] += 1
            told = ("ok", self._do(host, "add", package))
        if told[0] == "error":
            raise Stuck(self._fail(host, "add", told[1]))
        self._do(guest, "join", told[1])
        self._converge([*self.members, guest])
        self._do(self.members[0], "remove", guest.name)
        self.counts["guest: was here"] += 1
        guest.kill()

    def _do(self, member: Member, verb: str, argument: str = "") -> str:
        """Something that must succeed."""
        told = self._wait(member, verb, member.ask(verb, argument))
        if told is None:
            raise Surprise(f"{member.name} died by itself with {member.process.returncode}; see {member.log}")
        if told[0] == "error":
            raise Stuck(self._fail(member, verb, told[1]))
        return told[1]

    def _wait(self, member: Member, verb: str, answer: queue.SimpleQueue) -> tuple[str, str] | None:
        try:
            return answer.get(timeout=DEADLINE)
        except queue.Empty:
            with self.lock:
                self.ledger.stuck(member.name, f"{verb} is not answered")
            raise Stuck(verb) from None

    def _fail(self, member: Member, verb: str, why: str) -> str:
        with self.lock:
            self.ledger.failed(member.name, verb, why)
        return why

    def _converge(self, members: list[Member]) -> None:
        """Waits until all are in one epoch, of one history, and have nothing on its way."""
        where: dict[str, str] = {}

        def agree() -> bool:
            where.update({member.name: self._do(member, "where") for member in members})
            return len(set(where.values())) == 1 and next(iter(where.values())).startswith("member idle ")

        self._until("all in one epoch", agree, lambda: str(where))
        if self._found():
            raise Stuck("already")

    def _until(self, what: str, question, detail) -> None:
        end = time.monotonic() + DEADLINE
        while not question():
            self.relay.require_life()
            if self._found():
                raise Stuck("already")
            if time.monotonic() > end:
                with self.lock:
                    self.ledger.stuck(what, detail())
                raise Stuck(what)
            time.sleep(0.02)

    def _missing(self, names: list[str]) -> int:
        with self.lock:
            return self.ledger.missing(names)

    def _found(self) -> list[Violation]:
        with self.lock:
            return list(self.ledger.violations)
