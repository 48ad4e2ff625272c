"""Approval, block and allowlist rules, with the published daemon on one side of the door."""

from urllib.parse import quote

from daemon import rules, until
from events import Listener

PENDING = "Connection pending approval by remote agent"
# Retries of a message that waits for approval may be slow, but must come.
RETRY_DEADLINE = 90.0


def approve(daemon, key: str) -> None:
    daemon.post(f"/v1/approvals/{quote(key, safe='')}", {"decision": "approve"})


def pending(daemon) -> list[dict]:
    return daemon.get("/v1/approvals")["approvals"]


def test_a_published_peer_waits_at_our_door_until_it_is_approved(house):
    published, ours = house("published", "alice"), house("ours", "bob", mode="approval")

    refused = published.send(ours.address, "may I?", expect=502)
    waiting = pending(ours)
    approve(ours, published.key)
    accepted = published.send(ours.address, "thank you")

    assert PENDING in refused["error"]["message"]
    assert [(entry["id"], entry["address"]) for entry in waiting] == [(published.key, published.address)]
    assert pending(ours) == []
    assert [entry["id"] for entry in ours.history()] == [accepted["id"]]


def test_a_denied_published_peer_is_forgotten_and_may_ask_again(house):
    published, ours = house("published", "alice"), house("ours", "bob", mode="approval")
    published.send(ours.address, "may I?", expect=502)

    ours.post(f"/v1/approvals/{quote(published.key, safe='')}", {"decision": "deny"})

    assert pending(ours) == []
    assert published.send(ours.address, "please?", expect=502)["error"]["message"] == PENDING
    assert [entry["id"] for entry in pending(ours)] == [published.key]
    assert ours.history() == []


def test_our_waiting_send_reports_that_the_published_side_has_not_approved_us(house):
    ours, published = house("ours", "alice"), house("published", "bob", mode="approval")

    refused = ours.send(published.address, "may I?", expect=502, timeout=5)

    assert PENDING in refused["error"]["message"]
    assert [entry["id"] for entry in pending(published)] == [ours.key]


def test_our_queued_send_is_delivered_after_the_published_side_approves(house):
    ours, published = house("ours", "alice"), house("published", "bob", mode="approval")
    with Listener(published) as listener:
        queued = ours.send(published.address, "when you are ready", expect=202, wait="false")
        until(lambda: pending(published), what="the request to show up")
        assert ours.get(f"/v1/messages/{queued['id']}")["state"] == "accepted"

        approve(published, ours.key)

        events = listener.wait(1, ours.address, RETRY_DEADLINE)
    assert [event["id"] for event in events] == [queued["id"]]
    until(lambda: ours.get(f"/v1/messages/{queued['id']}")["state"] == "delivered", what="the state")


def test_a_published_peer_we_block_is_refused_until_it_is_unblocked(incoming):
    published, ours = incoming.alice, incoming.bob
    published.send(ours.address, "before")

    ours.post("/v1/block", {"key": published.key})
    refused = published.send(ours.address, "during", expect=502)
    ours.http.request("DELETE", "/v1/block", json={"key": published.key}).raise_for_status()
    published.send(ours.address, "after")

    assert refused["error"]["code"] == "not_reachable"
    assert [entry["body"]["text"] for entry in ours.history()] == ["before", "after"]


def test_our_allowlist_admits_only_the_published_peer_on_it(house):
    published, ours = house("published", "alice"), house("ours", "bob", mode="allowlist")

    published.send(ours.address, "not yet", expect=502)
    ours.post("/v1/approve", {"key": published.key})
    published.send(ours.address, "now")

    assert [entry["body"]["text"] for entry in ours.history()] == ["now"]


def test_our_send_to_a_published_peer_that_blocks_us_is_refused(outgoing):
    outgoing.bob.post("/v1/block", {"key": outgoing.alice.key})

    refused = outgoing.alice.send(outgoing.bob.address, "hello?", expect=502, timeout=5)

    assert refused["error"]["code"] == "not_reachable"
    assert outgoing.bob.history() == []


def test_our_approval_of_a_published_peer_survives_a_restart(house):
    published, ours = house("published", "alice"), house("ours", "bob", mode="approval")
    published.send(ours.address, "may I?", expect=502)
    approve(ours, published.key)

    ours.process.kill()
    ours.process.wait()
    ours.start()

    published.send(ours.address, "still welcome")
    assert rules(ours.get("/v1/permissions")["approved"]) == [("key", published.key)]
