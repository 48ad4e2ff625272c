#!/usr/bin/env python3
"""Members of one channel change it at once and are killed; all must end in one history and miss nothing.

    tests/convergence/run.py --rounds 200 --members 10 --seed 1
    tests/convergence/run.py --rounds 20 --seed 1 --fault apply-unread --expect-violation

Each round every member renews its keys and speaks, all at the same time, over a relay process. Deliveries from its log come twice, late
and out of order; members are killed at named points and at random moments, and so is the relay. Now and then a guest is
let in, also by a host that dies while it does.

The binaries come from --toq (or TOQ_BIN) and --player (member/examples/player.rs).

Exit status: 0 the promise was kept (or broken, where that was expected), 1 it was broken (or kept), 2 the run proves
nothing.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

from ledger import Violation
from party import Party, Stuck
from process import Surprise
from script import FULL_RUN, POINTS, Script

# Each deliberately broken variant, and the rules of which it must be caught breaking one.
FAULTS = {"apply-unread": {"two-histories"}}
KEPT, BROKEN, WORTHLESS = 0, 1, 2
SHOWN_VIOLATIONS = 20


def main() -> int:
    options = arguments()
    # Members that abort hundreds of times must not leave hundreds of core files.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    party = Party(options.toq, options.player, options.members, options.seed, options.fault)
    script = Script(options.seed, options.members)
    found, where, began = [], "at the start", time.monotonic()
    try:
        party.open()
        for number in range(1, options.rounds + 1):
            where, plan, start = f"in round {number}", script.next(), time.monotonic()
            found = party.play(number, plan)
            print(f"round {number:3}  epoch {max(party.ledger.epochs):5}  {time.monotonic() - start:5.1f} s  {plan}", flush=True)
            if found:
                break
        if not found:
            where = f"at the end of {options.rounds} rounds"
            found = party.finish()
    except Stuck:
        found = list(party.ledger.violations)
    except Surprise as surprise:
        found = [*party.ledger.violations, Violation("surprise", "-", str(surprise))]
    finally:
        party.close()
    return verdict(options, party, found, where, time.monotonic() - began)


def verdict(options, party: Party, found: list, where: str, took: float) -> int:
    report(party, took)
    if found:
        print(f"\nVIOLATION {where}, seed {options.seed}:")
        for violation in found[:SHOWN_VIOLATIONS]:
            print(f"  {violation}")
        rules = {violation.rule for violation in found}
        if options.expect_violation and rules & FAULTS.get(options.fault, rules - {"surprise"}):
            party.discard()
            print(f"  {len(found)} in all, as expected")
            return KEPT
        print(f"  {len(found)} in all; the directories are kept in {party.root}")
        return BROKEN
    party.discard()
    if options.expect_violation:
        print(f"\nno violation in {options.rounds} rounds, although one was expected")
        return BROKEN
    missed = [point for point in POINTS if not party.hits[point]]
    missed += [what for what in ("relay killed", "guest: was here", "guest: host died") if not party.counts[what]]
    if missed and options.rounds >= FULL_RUN:
        print(f"\nthis run does not count: never {', '.join(missed)}")
        return WORTHLESS
    print(f"\nno violation in {options.rounds} rounds, seed {options.seed}")
    return KEPT


def report(party: Party, took: float) -> None:
    print(f"\n{len(party.members)} members, epoch {max(party.ledger.epochs, default=0)}, {took:.0f} s")
    print(f"messages: {len(party.ledger.said)} said, {party.ledger.count_heard()} heard")
    for what, count in sorted([*party.counts.items(), *((f"ended at {point}", count) for point, count in party.hits.items())]):
        print(f"  {what:24} {count:6}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=FULL_RUN)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--fault", choices=FAULTS, help="run a deliberately broken variant (TOQ_MEMBER_FAULT)")
    parser.add_argument("--expect-violation", action="store_true", help="succeed only if one is found")
    parser.add_argument("--toq", default=os.environ.get("TOQ_BIN"), help="our binary; default: TOQ_BIN")
    parser.add_argument("--player", help="the member that is told what to do: member/examples/player.rs, built")
    options = parser.parse_args()
    for name in ("toq", "player"):
        path = getattr(options, name)
        if not path or not os.access(path, os.X_OK):
            parser.error(f"name the binary with --{name}")
        setattr(options, name, str(Path(path).resolve()))
    return options


if __name__ == "__main__":
    sys.exit(main())
