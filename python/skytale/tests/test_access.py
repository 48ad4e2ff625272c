"""Who gets in, and what those read who do not: keys, certificates, passphrases, and servers that are not there."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trustme

from relay import Relay
from skytale_sdk import AuthError, MlsError, SkytaleClient, SkytaleError, TransportError

NAME = "acme/team/general"
SOON = 30.0

# The first lines of the documented example, as somebody types them who has read nothing else.
FIRST = """
from skytale_sdk import SkytaleChannelManager
alice = SkytaleChannelManager(identity=b"alice")
alice.create("myorg/team/general")
print(alice.invite("myorg/team/general"))
"""


def joined(alice, bob):
    ours = alice.create_channel(NAME)
    return ours, bob.join_channel(NAME, ours.add_member(bob.generate_key_package()))


# A first minute in which something is missing


def first(tmp_path, **environment):
    """What the last line of the traceback says."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        env={"HOME": str(tmp_path), **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


def test_without_a_relay_the_text_says_where_it_was_looked_for_and_how_to_start_one(tmp_path):
    said = first(tmp_path, SKYTALE_RELAY="http://127.0.0.1:9")

    assert said.startswith("skytale_sdk.errors.TransportError: transport error: ")
    assert "http://127.0.0.1:9" in said and "`toq relay up`" in said


def test_without_an_api_server_the_text_says_where_it_was_looked_for(relay, tmp_path):
    said = first(tmp_path, **{**relay.environment, "SKYTALE_API_URL": "http://127.0.0.1:9"})

    assert said.startswith("skytale_sdk.errors.TransportError: transport error: API connection error: ")
    assert "127.0.0.1:9" in said and "`toq relay up`" in said


def test_without_a_key_the_text_says_how_to_make_one_and_where_to_put_it(relay, tmp_path):
    said = first(tmp_path, SKYTALE_RELAY=relay.endpoint)

    assert said.startswith("skytale_sdk.errors.AuthError: auth error: ")
    assert "`toq relay key create`" in said and "SKYTALE_API_KEY" in said


def test_with_a_wrong_key_the_text_says_so_and_how_to_make_one(relay, tmp_path):
    said = first(tmp_path, **{**relay.environment, "SKYTALE_API_KEY": "sk_live_" + "0" * 43})

    assert said.startswith("skytale_sdk.errors.AuthError: auth error: API error (401): invalid or revoked api key")
    assert "`toq relay key create`" in said


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "ftp://127.0.0.1:5000", "http://", "http://a b:1", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_no_url_is_a_transport_error_that_shows_it(tmp_path, endpoint):
    with pytest.raises(TransportError) as raised:
        SkytaleClient(endpoint, tmp_path / "alice", b"alice")

    assert str(raised.value).startswith("transport error: ") and endpoint in str(raised.value)


# Keys


def test_a_wrong_key_is_an_auth_error_with_the_answer_of_the_server(client):
    with pytest.raises(AuthError) as raised:
        client("eve", api_key="sk_live_" + "0" * 43)

    assert str(raised.value).startswith("auth error: ")
    assert (raised.value.code, raised.value.http_status) == ("unauthorized", 401)


def test_a_key_that_is_revoked_ends_and_what_was_said_with_it_is_sent_with_the_next(relay, client):
    key = relay.new_key()
    alice, bob = client("alice", api_key=key), client("bob")
    ours, theirs = joined(alice, bob)
    ours.send(b"before")
    assert theirs.next(SOON) == b"before"
    assert alice.flush(SOON)

    relay.revoke(key)
    ours.send(b"after")

    assert not alice.flush(0.3)
    for call in (lambda: alice.invite(NAME), lambda: client("eve", api_key=key)):
        with pytest.raises(AuthError, match="^auth error: .*revoked"):
            call()
    alice.close(0)
    with pytest.raises(AuthError, match="^auth error: "):
        client("alice", api_key=key)
    alice = client("alice")
    assert theirs.next(SOON) == b"after"
    theirs.send(b"welcome back")
    assert alice.open_channel(NAME).next(SOON) == b"welcome back"


# Certificates


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def guarded(tmp_path, authority):
    """A relay with a certificate of that authority."""
    made = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    key.touch(mode=0o600)
    key.write_bytes(made.private_key_pem.bytes())
    relay = Relay(tmp_path / "guarded", settings=f"[tls]\ncertificate = '{chain}'\nkey = '{key}'\n")
    yield relay
    relay.stop()


def test_a_relay_with_a_certificate_is_reached_by_who_trusts_its_authority(guarded, tmp_path):
    assert guarded.endpoint.startswith("https://")

    def member(name):
        return SkytaleClient(
            guarded.endpoint, tmp_path / name, name.encode(), guarded.key, guarded.api_url, ca_file=tmp_path / "ca.pem"
        )  # fmt: skip

    with member("alice") as alice, member("bob") as bob:
        ours = alice.create_channel(NAME)
        theirs = bob.join_with_token(NAME, alice.invite(NAME), timeout=SOON)
        ours.send(b"over TLS")

        assert theirs.next(SOON) == b"over TLS"


@pytest.mark.parametrize("trusted", ["nobody besides the system's", "another authority"])
def test_a_certificate_of_nobody_that_is_trusted_is_refused(guarded, tmp_path, trusted):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    ca_file = other if trusted == "another authority" else None

    with pytest.raises(TransportError, match="^transport error: .*ertificate"):
        SkytaleClient(guarded.endpoint, tmp_path / "alice", b"alice", ca_file=ca_file)


def test_a_relay_with_a_certificate_is_not_spoken_to_in_clear_text_nor_the_other_way(guarded, relay, tmp_path):
    for endpoint in (guarded.endpoint.replace("https", "http"), relay.endpoint.replace("http", "https")):
        with pytest.raises(TransportError, match="^transport error: "):
            SkytaleClient(endpoint, tmp_path / "alice", b"alice", ca_file=tmp_path / "ca.pem")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_certificates_that_has_none_is_refused(tmp_path, content):
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)

    with pytest.raises(SkytaleError, match="^runtime error: .*certificate") as raised:
        SkytaleClient("https://127.0.0.1:9", tmp_path / "alice", b"alice", ca_file=ca_file)

    assert str(ca_file) in str(raised.value)


# Passphrases


def test_a_directory_with_a_passphrase_is_opened_by_that_alone(client, monkeypatch, tmp_path):
    alice = client("alice", passphrase="correct horse")
    alice.create_channel(NAME)
    alice.close()
    assert not (tmp_path / "alice" / "workspace.key").exists()

    for wrong in (None, "battery staple"):
        with pytest.raises(MlsError, match="^MLS engine error: storage error: .*passphrase"):
            client("alice", passphrase=wrong)
    monkeypatch.setenv("SKYTALE_PASSPHRASE", "correct horse")
    assert client("alice").channels() == [NAME]


def test_a_directory_without_a_passphrase_says_so_when_one_is_given(client):
    client("alice").close()

    with pytest.raises(MlsError, match="^MLS engine error: storage error: .*without"):
        client("alice", passphrase="correct horse")

    assert client("alice").channels() == []
