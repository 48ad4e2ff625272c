"""Single messages, threads, pings and errors between our daemon and the published one, in both directions."""

from concurrent.futures import ThreadPoolExecutor

from daemon import until
from events import Listener


def test_a_send_that_waits_is_delivered_and_shows_up_on_the_other_side(pair):
    with pair.listen() as listener:
        answer = pair.alice.send(pair.bob.address, "hello\n\"bob\" \u2028 ünï", thread_id="t-1", reply_to="r-1")

        event = listener.wait(1, pair.alice.address)[0]

    assert answer["status"] == "delivered"
    assert answer["thread_id"] == "t-1"
    assert event["id"] == answer["id"]
    assert event["type"] == "message.send"
    assert event["body"] == {"text": "hello\n\"bob\" \u2028 ünï"}
    assert event["thread_id"] == "t-1"
    assert event["reply_to"] == "r-1"
    assert event["content_type"] == "application/json"
    assert event["timestamp"].endswith("Z")
    assert [entry["id"] for entry in pair.bob.history()] == [answer["id"]]


def test_a_send_that_does_not_wait_is_queued_and_arrives(pair):
    with pair.listen() as listener:
        answer = pair.alice.send(pair.bob.address, "no hurry", expect=202, wait="false")

        event = listener.wait(1, pair.alice.address)[0]

    assert answer["status"] == "queued"
    assert event["id"] == answer["id"]
    assert event["thread_id"] == answer["thread_id"]


def test_bodies_of_every_json_kind_arrive_verbatim(pair):
    bodies = ["text", 7, 1.5, True, ["a", None], {"a": {"b": [1, 2.25, "ü"]}, "z": None, "": ""}]
    with pair.listen() as listener:
        for body in bodies:
            pair.alice.post("/v1/messages", {"to": pair.bob.address, "body": body}, wait="true")

        events = listener.wait(len(bodies), pair.alice.address)

    assert [event["body"] for event in events] == bodies


def test_a_thread_is_continued_and_closed(pair):
    with pair.listen() as listener:
        first = pair.alice.send(pair.bob.address, "one")
        thread = first["thread_id"]
        pair.alice.send(pair.bob.address, "two", thread_id=thread)
        pair.alice.send(pair.bob.address, "bye", thread_id=thread, close_thread=True)

        events = listener.wait(3, pair.alice.address)

    assert [event["type"] for event in events] == ["message.send", "message.send", "thread.close"]
    assert [event["body"]["text"] for event in events] == ["one", "two", "bye"]
    assert {event["thread_id"] for event in events} == {thread}


def test_a_reply_comes_back_over_the_other_side_s_own_connection(pair):
    with pair.listen() as at_bob, Listener(pair.alice) as at_alice:
        question = pair.alice.send(pair.bob.address, "how are you?")
        heard = at_bob.wait(1, pair.alice.address)[0]
        pair.bob.send(heard["from"], "fine", thread_id=heard["thread_id"], reply_to=heard["id"])

        reply = at_alice.wait(1, pair.bob.address)[0]

    assert reply["body"] == {"text": "fine"}
    assert reply["reply_to"] == question["id"]
    assert reply["thread_id"] == question["thread_id"]


def test_a_wait_for_the_reply_answers_with_the_published_daemon_s_reply(outgoing):
    alice, bob = outgoing.alice, outgoing.bob
    with outgoing.listen() as at_bob, ThreadPoolExecutor(1) as background:
        asked = background.submit(alice.send, bob.address, "ping?", wait="reply", timeout=20)
        heard = at_bob.wait(1, alice.address)[0]
        bob.send(alice.address, "pong!", thread_id=heard["thread_id"], reply_to=heard["id"])

        answer = asked.result()

    assert answer["reply"]["body"] == {"text": "pong!"}
    assert answer["reply"]["from"] == bob.address


def test_one_send_reaches_several_recipients_in_request_order(house):
    alice = house("ours", "alice")
    bob, carol = house("published", "bob"), house("published", "carol")
    with Listener(bob) as at_bob, Listener(carol) as at_carol:
        answer = alice.send([bob.address, carol.address], "both")

        events = at_bob.wait(1, alice.address) + at_carol.wait(1, alice.address)

    assert [result["to"] for result in answer["results"]] == [bob.address, carol.address]
    assert [event["id"] for event in events] == [result["id"] for result in answer["results"]]


def test_a_ping_shows_the_other_side_s_name_and_key(pair):
    answer = pair.alice.post("/v1/ping", {"address": pair.bob.address})

    assert answer["reachable"] is True
    assert answer["agent_name"] == "bob"
    assert answer["public_key"] == pair.bob.key


def test_a_ping_where_nobody_listens_is_an_unreachable_answer_not_an_error(pair):
    pair.bob.stop()

    answer = pair.alice.post("/v1/ping", {"address": pair.bob.address})

    assert answer["reachable"] is False
    assert answer["public_key"] is None


def test_a_wrong_agent_name_is_refused_with_the_published_text(pair):
    answer = pair.alice.send(pair.bob.address.replace("/bob", "/nobody"), "anyone?", expect=502)

    assert answer["error"]["message"] == "agent 'nobody' not found on this endpoint (this is 'bob')"
    assert pair.bob.history() == []


def test_a_send_where_nobody_listens_is_refused_with_the_published_text(pair):
    pair.bob.stop()

    answer = pair.alice.send(pair.bob.address, "anyone?", expect=502)

    assert answer["error"]["code"] == "not_reachable"
    assert answer["error"]["message"] == f"no agent running at {pair.bob.address}"


def test_a_queued_message_is_delivered_once_the_published_daemon_starts_again(outgoing):
    alice, bob = outgoing.alice, outgoing.bob
    bob.process.kill()
    bob.process.wait()
    queued = alice.send(bob.address, "while you were out", expect=202, wait="false")
    (bob.workspace / ".toq" / "toq.pid").unlink(missing_ok=True)

    bob.start()

    until(lambda: [m["id"] for m in bob.history()] == [queued["id"]], 60, 0.1, "the retry to arrive")
    until(lambda: alice.get(f"/v1/messages/{queued['id']}")["state"] == "delivered", what="the state")


def test_a_message_larger_than_the_limit_is_refused_at_the_door(pair):
    answer = pair.alice.send(pair.bob.address, "x" * 1_100_000, expect=413)

    assert answer["error"]["code"] == "message_too_large"
