"""Each way to break the promise is reported, and a kept promise is not. Run with unittest or pytest."""

import unittest

from checker import Checker, Confirmation, Offer, Outcome, Row, Send


def send(place: int = 0, outcome: Outcome = Outcome.ACCEPTED, ids: tuple[str, ...] = ("id-0",)) -> Send:
    return Send(f"t/{place}", "alice", "bob", outcome, ids)


def checker_with(*sends: Send, stored: bool = True) -> Checker:
    """A checker in whose ledgers every accepted send was delivered, offered and confirmed, in order."""
    checker = Checker()
    for seq, each in enumerate(sends):
        checker.sent(each)
        if stored:
            checker.state(each.token, each.ids[0], "delivered")
            checker.stored("bob", Row(each.ids[0], each.token, seq))
            checker.offered("bob", Offer(each.ids[0], each.token))
            checker.confirmed("bob", Confirmation(each.ids[0]))
    return checker


class Claims(unittest.TestCase):
    def assert_reports(self, rules: list[str], found: list) -> None:
        self.assertEqual(sorted(rules), sorted(violation.rule for violation in found), [str(each) for each in found])

    def test_a_kept_promise_is_not_a_violation(self):
        checker = checker_with(send(0), send(1, Outcome.DELIVERED, ("id-1",)))

        self.assert_reports([], checker.finish())

    def test_the_same_row_seen_twice_is_not_a_violation(self):
        checker = checker_with(send())
        checker.stored("bob", Row("id-0", "t/0", 0))

        self.assert_reports([], checker.finish())

    def test_an_unknown_send_may_be_delivered_or_not(self):
        checker = checker_with(send(0))
        checker.sent(send(0, Outcome.UNKNOWN, ()))
        checker.sent(send(1, Outcome.UNKNOWN, ()))

        self.assert_reports([], checker.finish())

    def test_an_acknowledged_message_without_a_row_is_lost_at_once(self):
        checker = checker_with(send(outcome=Outcome.DELIVERED), stored=False)

        self.assert_reports(["delivered-but-lost"], checker.inspect())

    def test_a_message_its_sender_calls_delivered_without_a_row_is_lost_at_once(self):
        checker = checker_with(send(), stored=False)
        checker.state("t/0", "id-0", "delivered")

        self.assert_reports(["delivered-but-lost"], checker.inspect())

    def test_an_accepted_message_without_a_row_is_lost_only_at_the_end(self):
        checker = checker_with(send(), stored=False)
        checker.state("t/0", "id-0", "accepted")

        self.assert_reports([], list(checker.inspect()))
        self.assert_reports(["accepted-but-lost", "accepted-but-unfinished"], checker.finish())

    def test_an_accepted_id_its_sender_does_not_know_is_forgotten(self):
        checker = checker_with(send())
        checker.state("t/0", "id-0", None)

        self.assert_reports(["accepted-but-forgotten"], checker.inspect())

    def test_an_accepted_message_nobody_asked_about_is_not_taken_for_delivered(self):
        checker = checker_with(send(), stored=False)
        checker.stored("bob", Row("id-0", "t/0", 0))
        checker.offered("bob", Offer("id-0", "t/0"))
        checker.confirmed("bob", Confirmation("id-0"))

        self.assert_reports(["accepted-but-unfinished"], checker.finish())

    def test_an_accepted_message_must_not_end_as_a_dead_letter(self):
        checker = checker_with(send())
        checker.state("t/0", "id-0", "dead_letter")

        self.assert_reports(["accepted-but-unfinished"], checker.finish())

    def test_two_rows_for_one_id_are_reported(self):
        checker = checker_with(send())
        checker.stored("bob", Row("id-0", "t/0", 7))

        self.assert_reports(["two-rows-for-one-id"], checker.inspect())

    def test_a_retry_that_became_a_second_message_is_reported(self):
        checker = checker_with(send())
        checker.stored("bob", Row("id-9", "t/0", 7))

        self.assert_reports(["two-messages-for-one-send"], checker.inspect())

    def test_a_retry_answered_with_another_id_is_reported(self):
        checker = checker_with(send(ids=("id-0", "id-9")))

        self.assert_reports(["two-ids-for-one-send"], checker.inspect())

    def test_a_refused_message_that_shows_up_is_reported_whichever_was_known_first(self):
        for told_first in (True, False):
            checker = Checker()
            refused = send(outcome=Outcome.REFUSED, ids=())
            if told_first:
                checker.sent(refused)
            checker.stored("bob", Row("id-0", "t/0", 0))
            if not told_first:
                checker.sent(refused)

            self.assert_reports(["refused-but-delivered"], checker.inspect())

    def test_a_misaddressed_message_in_the_history_is_reported(self):
        checker = checker_with(send(outcome=Outcome.MISADDRESSED), stored=False)
        checker.stored("bob", Row("id-0", "t/0", 0))

        self.assert_reports(["misaddressed-but-delivered"], checker.inspect())

    def test_a_misaddressed_message_offered_to_the_consumer_is_reported(self):
        checker = checker_with(send(outcome=Outcome.MISADDRESSED), stored=False)
        checker.offered("bob", Offer("id-0", "t/0"))

        self.assert_reports(["misaddressed-but-delivered"], checker.inspect())

    def test_a_message_offered_as_new_twice_is_reported(self):
        checker = Checker()
        checker.offered("bob", Offer("id-0", "t/0"))
        checker.offered("bob", Offer("id-0", "t/0"))

        self.assert_reports(["offered-as-new-twice"], checker.inspect())

    def test_a_redelivery_before_the_confirmation_is_allowed(self):
        checker = checker_with(stored=False)
        checker.offered("bob", Offer("id-0", "t/0"))
        checker.confirmed("bob", Confirmation("id-0", is_answered=False))
        checker.offered("bob", Offer("id-0", "t/0", redelivered=True))

        self.assert_reports([], checker.inspect())

    def test_an_offer_after_an_answered_confirmation_is_reported_even_if_marked(self):
        checker = checker_with(send())
        checker.offered("bob", Offer("id-0", "t/0", redelivered=True))

        self.assert_reports(["offered-after-confirmation"], checker.inspect())

    def test_a_stored_message_that_was_never_offered_is_reported(self):
        checker = checker_with(send(), stored=False)
        checker.state("t/0", "id-0", "delivered")
        checker.stored("bob", Row("id-0", "t/0", 0))

        self.assert_reports(["never-offered", "settled-without-confirmation"], checker.finish())

    def test_a_message_settled_although_nobody_confirmed_it_is_reported(self):
        checker = checker_with(send(), stored=False)
        checker.state("t/0", "id-0", "delivered")
        checker.stored("bob", Row("id-0", "t/0", 0))
        checker.offered("bob", Offer("id-0", "t/0"))

        self.assert_reports(["settled-without-confirmation"], checker.finish())

    def test_an_offer_of_a_message_the_store_does_not_hold_is_reported(self):
        checker = Checker()
        checker.offered("bob", Offer("id-0", "t/0"))

        self.assert_reports(["offered-without-a-row"], checker.finish())

    def test_an_offer_behind_a_later_one_of_its_thread_is_reported(self):
        checker = Checker()
        checker.offered("bob", Offer("id-1", "t/1"))
        checker.offered("bob", Offer("id-0", "t/0"))

        self.assert_reports(["out-of-order"], checker.inspect())

    def test_redeliveries_do_not_disturb_the_order(self):
        checker = Checker()
        for place, redelivered in ((0, False), (1, False), (0, True), (1, True), (2, False)):
            checker.offered("bob", Offer(f"id-{place}", f"t/{place}", redelivered))

        self.assert_reports([], checker.inspect())

    def test_rows_of_a_thread_in_the_wrong_order_are_reported(self):
        checker = checker_with(send(0), send(1, ids=("id-1",)), stored=False)
        for seq, place in ((0, 1), (1, 0)):
            checker.state(f"t/{place}", f"id-{place}", "delivered")
            checker.stored("bob", Row(f"id-{place}", f"t/{place}", seq))
        for place in (0, 1):
            checker.offered("bob", Offer(f"id-{place}", f"t/{place}"))
            checker.confirmed("bob", Confirmation(f"id-{place}"))

        self.assert_reports(["out-of-order"], checker.finish())

    def test_threads_do_not_wait_for_each_other(self):
        checker = Checker()
        checker.offered("bob", Offer("id-1", "t/5"))
        checker.offered("bob", Offer("id-0", "u/0"))

        self.assert_reports([], checker.inspect())

    def test_a_violation_is_reported_once(self):
        checker = checker_with(send(outcome=Outcome.DELIVERED), stored=False)
        checker.inspect()
        checker.state("t/0", "id-0", "delivered")

        self.assert_reports(["delivered-but-lost"], checker.inspect())


if __name__ == "__main__":
    unittest.main()
