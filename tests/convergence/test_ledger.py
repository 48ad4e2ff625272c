"""Hand-made ledgers: each way to break the promise is found, and what is allowed is not."""

import unittest

from ledger import Ledger
from script import POINTS, Script

ALL = ["a", "b", "c"]


class TheLedger(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger()
        self.ledger.says("a", "hello")

    def rules(self):
        return {violation.rule for violation in self.ledger.finish(ALL)}

    def test_a_message_that_everybody_heard_at_its_place_is_fine(self):
        self.ledger.kept("hello")
        self.ledger.acknowledged("hello", 7)
        self.ledger.heard("b", 1, 7, "hello")
        self.ledger.heard("c", 1, 7, "hello")

        self.assertEqual(self.rules(), set())
        self.assertEqual(self.ledger.missing(ALL), 0)

    def test_a_message_of_unknown_fate_may_be_heard_or_not(self):
        self.assertEqual(self.rules(), set())
        self.ledger.heard("b", 1, 7, "hello")
        self.ledger.heard("c", 1, 7, "hello")

        self.assertEqual(self.rules(), set())

    def test_a_message_that_one_member_misses_is_lost(self):
        self.ledger.kept("hello")
        self.ledger.heard("b", 1, 7, "hello")
        self.assertEqual(self.ledger.missing(ALL), 1)
        self.assertEqual(self.rules(), {"kept-but-lost"})

        self.ledger.says("b", "answer")
        self.ledger.acknowledged("answer", 8)
        self.assertIn("acknowledged-but-lost", self.rules())

    def test_what_was_heard_comes_again_after_a_kill_and_not_before(self):
        self.ledger.heard("b", 1, 7, "hello")
        self.ledger.heard("b", 2, 7, "hello")
        self.assertEqual(self.rules(), set())

        self.ledger.heard("b", 2, 7, "hello")
        self.assertEqual(self.rules(), {"heard-twice", "out-of-order"})

    def test_one_message_has_one_place_and_one_place_one_message(self):
        self.ledger.says("a", "other")
        self.ledger.heard("b", 1, 7, "hello")
        self.ledger.heard("c", 1, 7, "other")
        self.assertEqual(self.rules(), {"two-texts"})

        self.ledger.heard("c", 1, 8, "hello")
        self.assertIn("said-twice", self.rules())

    def test_what_was_acknowledged_elsewhere_than_it_is_heard_is_found(self):
        self.ledger.acknowledged("hello", 6)
        for member in ("b", "c"):
            self.ledger.heard(member, 1, 7, "hello")

        self.assertEqual(self.rules(), {"said-twice"})

    def test_places_rise_within_a_life(self):
        self.ledger.says("a", "other")
        self.ledger.heard("b", 1, 8, "other")
        self.ledger.heard("b", 1, 7, "hello")

        self.assertEqual(self.rules(), {"out-of-order"})

    def test_nobody_hears_what_was_not_said_or_himself(self):
        self.ledger.heard("a", 1, 7, "hello")
        self.ledger.heard("b", 1, 8, "invented")

        self.assertEqual(self.rules(), {"heard-its-own", "never-said"})

    def test_an_epoch_has_one_history(self):
        self.ledger.at("a", 1, 3, "x")
        self.ledger.at("b", 1, 3, "x")
        self.assertEqual(self.rules(), set())

        self.ledger.at("c", 1, 3, "y")
        self.assertEqual(self.rules(), {"two-histories"})

    def test_a_life_does_not_go_back_and_the_next_one_may(self):
        self.ledger.at("a", 1, 3, "x")
        self.ledger.at("a", 2, 2, "w")
        self.assertEqual(self.rules(), set())

        self.ledger.at("a", 1, 2, "w")
        self.assertEqual(self.rules(), {"went-back"})

    def test_alarms_failures_and_standstill_are_violations(self):
        self.ledger.happened("a", "member_added", "")
        self.assertEqual(self.rules(), set())

        self.ledger.happened("a", "relay_misbehaving", "it does not")
        self.ledger.failed("a", "rotate", "no")
        self.ledger.stuck("a", "rotate")
        self.assertEqual(self.rules(), {"false-alarm", "failed", "stuck"})


class TheScript(unittest.TestCase):
    def test_a_seed_is_one_script_and_meets_every_point(self):
        scripts = [Script(5, 10), Script(5, 10), Script(6, 10)]
        rounds = [[script.next() for _ in range(60)] for script in scripts]

        self.assertEqual(rounds[0], rounds[1])
        self.assertNotEqual(rounds[0], rounds[2])
        self.assertLessEqual(set(POINTS), {death.point for round in rounds[0] for death in round.deaths})

    def test_nobody_dies_twice_in_a_round(self):
        for round in (Script(seed, 3).next() for seed in range(200)):
            victims = [death.member for death in round.deaths]
            self.assertEqual(len(victims), len(set(victims)))


if __name__ == "__main__":
    unittest.main()
