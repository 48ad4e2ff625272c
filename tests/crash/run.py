#!/usr/bin/env python3
"""Kills daemons at random moments and at named crash points, and checks that no promise was broken.

    tests/crash/run.py --rounds 60 --seed 1
    tests/crash/run.py --rounds 60 --seed 1 --fault ack-before-commit --expect-violation

The binary comes from --bin or TOQ_BIN and should be built with the feature `faults`; without it no crash point is
ever reached, and a run of 60 rounds or more does not count.

Exit status: 0 the promise was kept (or broken, where that was expected), 1 it was broken (or kept), 2 the run proves
nothing.
"""

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import time
import venv
from pathlib import Path

from plan import FULL_RUN, POINTS, Plans

# Each deliberately broken variant, and the rules of which it must be caught breaking one: a daemon that merely
# does not start proves nothing about the checker.
FAULTS = {
    "ack-before-commit": {"delivered-but-lost", "accepted-but-lost"},
    "no-dedupe": {"two-rows-for-one-id", "offered-as-new-twice"},
    "no-to-check": {"misaddressed-but-delivered"},
}
KEPT, BROKEN, WORTHLESS = 0, 1, 2
SHOWN_VIOLATIONS = 20


def main() -> int:
    options = arguments()
    ensure_cryptography()
    # A daemon that aborts hundreds of times must not leave hundreds of core files.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from checker import Violation
    from daemon import Surprise
    from house import House

    house = House(options.bin, options.seed, options.fault)
    where = "at the start"
    try:
        house.open()
        plans = Plans(options.seed, options.fault)
        found = []
        for number in range(1, options.rounds + 1):
            where = f"in round {number}"
            found = play(house, plans.next(), number, options.seed)
            if found:
                break
        if not found:
            where = f"at the end of {options.rounds} rounds"
            found = house.finish()
    except Surprise as surprise:
        found = [*house.checker.violations, Violation("surprise", "-", str(surprise))]
    finally:
        house.close()
    return verdict(options, house, found, where)


def play(house, plan, number: int, seed: int) -> list:
    """Plays one round, prints its line, and returns the violations so far."""
    began, sent, offered = time.monotonic(), house.sent, house.offered
    how = house.crash(plan, number)
    found = house.inspect()
    print(
        f"round {number:3}  seed {seed}  {plan} {how}  "
        f"{house.sent - sent:4} sent {house.offered - offered:4} offered  {time.monotonic() - began:.2f} s",
        flush=True,
    )
    return found


def verdict(options, house, found: list, where: str) -> int:
    report(house)
    if found:
        print(f"\nVIOLATION {where}, seed {options.seed}:")
        for violation in found[:SHOWN_VIOLATIONS]:
            print(f"  {violation}")
        if options.expect_violation and is_expected(options.fault, found):
            house.discard()
            print(f"  {len(found)} in all, as expected")
            return KEPT
        print(f"  {len(found)} in all; the workspaces are kept in {house.root}")
        return BROKEN
    house.discard()
    if options.expect_violation:
        print(f"\nno violation in {options.rounds} rounds, although one was expected")
        return BROKEN
    missed = [point for point in POINTS if not house.hits[point]]
    if house.mallory.misaddressed == 0 or house.mallory.replayed == 0:
        missed.append("mallory's attacks")
    if missed and options.rounds >= FULL_RUN:
        print(f"\nthis run does not count: never reached {', '.join(missed)}")
        return WORTHLESS
    print(f"\nno violation in {options.rounds} rounds, seed {options.seed}")
    return KEPT


def is_expected(fault: str | None, found: list) -> bool:
    rules = {violation.rule for violation in found}
    return bool(rules & FAULTS[fault]) if fault else bool(rules - {"surprise"})


def report(house) -> None:
    print("\ncrash point                 hits")
    for point in POINTS:
        print(f"  {point:24} {house.hits[point]:5}")
    print(f"  mallory: {house.mallory.misaddressed} misaddressed, {house.mallory.replayed} replayed")
    print(f"messages: {house.sent} sent, {house.offered} offered")
    for answer, count in sorted(house.answers().items()):
        print(f"  {answer:40} {count:6}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=FULL_RUN)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--fault", choices=FAULTS, help="run a deliberately broken variant (TOQ_FAULT)")
    parser.add_argument("--expect-violation", action="store_true", help="succeed only if the checker finds one")
    parser.add_argument("--bin", default=os.environ.get("TOQ_BIN"), help="our binary; default: TOQ_BIN")
    options = parser.parse_args()
    if not options.bin or not os.access(options.bin, os.X_OK):
        parser.error("name our binary with --bin or TOQ_BIN")
    options.bin = str(Path(options.bin).resolve())
    return options


def ensure_cryptography() -> None:
    """Only mallory needs a package; where it is missing, continues inside an environment that has it."""
    if importlib.util.find_spec("cryptography"):
        return
    home = Path(os.environ.get("TOQ_CACHE", ".cache")).resolve() / "crash"
    python = home / "bin" / "python"
    if Path(sys.prefix) == home:
        sys.exit(f"run.py: {home} lacks cryptography; delete it and try again")
    if not python.exists() or subprocess.run([python, "-c", "import cryptography"], capture_output=True).returncode:
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "cryptography"], check=True)
    os.execv(python, [str(python), *sys.argv])


if __name__ == "__main__":
    sys.exit(main())
