"""Bursts in both directions.

The published daemon admits ten connections a second from one address and opens one connection for every message it
sends. Our daemon must not let its callers feel the first and must not imitate it for the second.
"""

from concurrent.futures import ThreadPoolExecutor

COUNT = 200


def burst(pair, callers: int) -> list[str]:
    """Sends COUNT waiting messages from `callers` callers; returns the ids, or fails at the first refusal."""
    with ThreadPoolExecutor(callers) as pool:
        sends = [pool.submit(pair.alice.send, pair.bob.address, f"burst {number}") for number in range(COUNT)]
        try:
            answers = [send.result() for send in sends]
        finally:
            pool.shutdown(cancel_futures=True)
    assert {answer["status"] for answer in answers} == {"delivered"}
    return [answer["id"] for answer in answers]


def test_sixteen_callers_never_feel_the_published_connection_limit(outgoing):
    with outgoing.listen() as listener:
        ids = burst(outgoing, callers=16)

        events = listener.wait(COUNT, outgoing.alice.address)

    assert len(set(ids)) == COUNT
    assert sorted(event["id"] for event in events) == sorted(ids)
    assert sorted(entry["id"] for entry in outgoing.bob.history()) == sorted(ids)
    assert sorted(event["body"]["text"] for event in events) == sorted(f"burst {n}" for n in range(COUNT))


def test_two_hundred_connections_from_the_published_daemon_are_all_served(incoming):
    with incoming.listen() as listener:
        ids = burst(incoming, callers=4)

        events = listener.wait(COUNT, incoming.alice.address)

    assert sorted(event["id"] for event in events) == sorted(ids)
    assert sorted(entry["id"] for entry in incoming.bob.history()) == sorted(ids)


def test_a_thread_keeps_its_order_in_a_burst_that_does_not_wait(outgoing):
    with outgoing.listen() as listener:
        ids = [
            outgoing.alice.send(outgoing.bob.address, str(number), expect=202, wait="false", thread_id="t-order")["id"]
            for number in range(COUNT)
        ]

        events = listener.wait(COUNT, outgoing.alice.address, deadline=30)

    assert [event["id"] for event in events] == ids
