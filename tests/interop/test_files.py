"""Files are an addition of ours: the published daemon is never sent one, and our owner is told why."""

from daemon import until


def test_a_file_for_a_published_daemon_is_refused_before_a_byte_is_sent(outgoing, tmp_path):
    path = tmp_path / "report.txt"
    path.write_text("figures")
    alice, bob = outgoing.alice, outgoing.bob

    body = {"to": bob.address, "path": str(path)}
    refused = alice.post("/v1/files", body, expect=502, wait="true", timeout=20)["error"]

    assert refused["code"] == "rejected"
    assert "does not know how to take files" in refused["message"]
    assert alice.get(f"/v1/messages/{refused['id']}")["state"] == "rejected"
    # Nothing of it went out: the next message is the first that the other side has, and the lane is free.
    alice.send(bob.address, "afterwards")
    assert [entry["body"]["text"] for entry in until(bob.history)] == ["afterwards"]


def test_without_waiting_the_event_says_why(outgoing, tmp_path):
    path = tmp_path / "report.txt"
    path.write_text("figures")
    alice, bob = outgoing.alice, outgoing.bob

    queued = alice.post("/v1/files", {"to": bob.address, "path": str(path)}, expect=202, wait="false")

    message = until(lambda: (found := alice.get(f"/v1/messages/{queued['id']}"))["state"] == "rejected" and found)
    assert "does not know how to take files" in message["reason"]
