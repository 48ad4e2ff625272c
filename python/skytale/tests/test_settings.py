"""Where a client looks: argument, then environment, then default."""

from __future__ import annotations

import pytest

from skytale_sdk import SkytaleClient
from skytale_sdk._settings import resolve as resolve_for


def resolve(endpoint=None, data_dir=None, identity=b"me", **more):
    return resolve_for(identity, endpoint=endpoint, data_dir=data_dir, **more)


def test_without_anything_the_relay_is_on_this_machine_and_state_is_at_home(tmp_path):
    settings = resolve()

    assert settings["endpoint"] == "http://127.0.0.1:5000"
    assert settings["data_dir"] == str(tmp_path / "home" / ".skytale" / b"me".hex())
    assert settings["api_key"] is None


def test_the_environment_wins_over_defaults_and_arguments_over_the_environment(monkeypatch):
    for name, value in {"RELAY": "http://r:1", "DATA_DIR": "/d", "API_KEY": "sk_live_e", "API_URL": "http://a:1"}.items():
        monkeypatch.setenv(f"SKYTALE_{name}", value)

    from_environment = resolve()
    given = resolve("http://r:2", "/g", api_key="sk_live_g", api_url="http://a:2")

    assert [from_environment[key] for key in ("endpoint", "data_dir", "api_key", "api_url")] == [
        "http://r:1", "/d", "sk_live_e", "http://a:1",
    ]  # fmt: skip
    assert [given[key] for key in ("endpoint", "data_dir", "api_key", "api_url")] == [
        "http://r:2", "/g", "sk_live_g", "http://a:2",
    ]  # fmt: skip


def test_a_key_alone_is_taken_to_the_api_server_of_this_machine():
    assert resolve(api_key="sk_live_x")["api_url"] == "http://127.0.0.1:8080"
    assert resolve()["api_url"] is None


def test_a_key_that_was_read_from_a_file_may_end_its_line(monkeypatch):
    assert resolve(api_key="sk_live_x\n")["api_key"] == "sk_live_x"
    monkeypatch.setenv("SKYTALE_API_KEY", "\n")
    assert resolve()["api_key"] is None


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_the_environment_makes_a_mock(monkeypatch, value):
    monkeypatch.setenv("SKYTALE_MOCK", value)

    assert resolve()["mock_group"] == "default"
    assert resolve()["data_dir"] is None


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_other_values_make_none(monkeypatch, value):
    monkeypatch.setenv("SKYTALE_MOCK", value)

    assert resolve()["mock_group"] is None


def test_a_long_identity_has_a_folder_that_file_systems_accept():
    folder = resolve(identity=b"x" * 5000)["data_dir"].rpartition("/")[2]

    assert len(folder) == 64


@pytest.mark.parametrize("identity", ["text", None, 1, bytearray(b"x")])
def test_an_identity_that_is_not_bytes_is_a_type_error(identity):
    with pytest.raises(TypeError):
        SkytaleClient("http://127.0.0.1:1", "/nowhere", identity)


def test_max_unread_bounds_what_waits_and_nothing_is_missed(group):
    with SkytaleClient(identity=b"alice", mock=True, mock_group=group) as alice:
        with SkytaleClient(identity=b"bob", mock=True, mock_group=group, max_unread=10_000) as bob:
            channel = alice.create_channel("acme/team/general")
            joined = bob.join_channel(channel.name, channel.add_member(bob.generate_key_package()))
            for number in range(50):
                channel.send(b"%d" % number + bytes(1000))

            events = []
            while not any(event.kind == "inbox_full" for event in events):
                events = joined.events(30.0)
                assert events
            assert [int(joined.next(30.0).split(b"\0")[0]) for _ in range(50)] == list(range(50))


@pytest.mark.parametrize("number", [0, -1, 2**63])
def test_max_unread_that_is_no_number_of_bytes_is_refused(number):
    with pytest.raises(ValueError, match="^max_unread is "):
        resolve(max_unread=number)
    with pytest.raises(TypeError, match="^max_unread is a number of bytes"):
        resolve(max_unread="1 GiB")
