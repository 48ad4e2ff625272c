"""The client: one agent, one data directory, one connection to the relay, any number of channels."""

from __future__ import annotations

import os
from types import TracebackType

from . import _exit, _native, _settings
from ._native import Channel

_NOT_BYTES = "identity must be bytes, not {}"


class SkytaleClient:
    """Creates, joins and reopens encrypted channels.

    Everything that matters is kept in `data_dir`: keys, groups, messages that wait to be sent and messages that were not
    read yet. A client opened on the same directory, after a crash too, goes on where the last one stopped. A directory
    has one client at a time.

    Args:
        endpoint: URL of the relay; else `SKYTALE_RELAY`, else `http://127.0.0.1:5000`.
        data_dir: where state is kept; else `SKYTALE_DATA_DIR`, else `~/.skytale/<identity in hex>`.
        identity: what the other members see as the sender; bytes.
        api_key: key of an account of the API server (`sk_live_...`); else `SKYTALE_API_KEY`. It is exchanged for a token
            that the relay accepts. Without one only a relay that admits anonymous members lets this client in.
        api_url: URL of the API server; else `SKYTALE_API_URL`, else `http://127.0.0.1:8080`.
        mock: no network; clients of this process that name the same `mock_group` reach each other.
        mock_group: name of that group, `default` unless given.

    Raises:
        TypeError: `identity` is not bytes.
        AuthError: the API key was refused, or the relay admits nobody without a token.
        TransportError: relay or API server were not reached, and there is nothing in `data_dir` to go on with.
        MlsError: `data_dir` cannot be used: damaged, not writable, or in use by another client.
    """

    def __init__(
        self,
        endpoint: str | None = "",
        data_dir: str | os.PathLike[str] | None = "",
        identity: bytes = b"",
        api_key: str | None = None,
        api_url: str | None = None,
        mock: bool = False,
        mock_group: str | None = None,
    ) -> None:
        settings = native_settings(endpoint, data_dir, identity, api_key, api_url, mock, mock_group)
        self._native = _native.Client.open(**settings)
        _exit.remember(self._native)

    @property
    def identity(self) -> bytes:
        """What the other members see as the sender."""
        return self._native.identity

    def create_channel(self, name: str) -> Channel:
        """Creates a channel of which the caller is the first member and owner.

        A channel of that name that this client already has is replaced: its members are not in the new one. To go on with
        a channel that is kept in `data_dir`, use `open_channel`.

        Raises:
            ChannelError: `name` is not `org/namespace/service`.
        """
        return self._native.create_channel(name)

    def generate_key_package(self) -> bytes:
        """Makes a key package, with which a member can add this client to one channel, once."""
        return self._native.generate_key_package()

    def join_channel(self, name: str, welcome: bytes) -> Channel:
        """Joins a channel with the Welcome that `Channel.add_member` returned.

        Raises:
            MlsError: the Welcome is damaged, for another channel, or for a key package that this client did not make.
        """
        return self._native.join_channel(name, welcome)

    def open_channel(self, name: str) -> Channel:
        """Returns a channel that this client is a member of, as it is kept in `data_dir`.

        Raises:
            ChannelError: there is no such channel.
        """
        return self._native.open_channel(name)

    def channels(self) -> list[str]:
        """Names of the channels that this client is a member of, sorted."""
        return self._native.channels()

    def invite(self, name: str, max_uses: int = 1, ttl: int = 3600) -> str:
        """Makes an invite token; whoever has it joins by `join_with_token` while this client runs.

        Args:
            name: one of this client's channels.
            max_uses: how many may join with it.
            ttl: for how many seconds it is valid.

        Raises:
            SkytaleError: this client has no API key.
        """
        return self._native.invite(name, max_uses, ttl)

    def join_with_token(self, name: str, token: str, timeout: float = 60.0) -> Channel:
        """Joins a channel by an invite token, waiting up to `timeout` seconds for a member to let this client in.

        Raises:
            ChannelError: the token is unknown, expired, used up or for another channel.
            SkytaleError: nobody answered in time, or this client has no API key.
        """
        return self._native.join_with_token(name, token, timeout)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until the relay has everything that was sent; False if it has not after `timeout` seconds."""
        return self._native.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Ends the connection and frees `data_dir`. Waits up to `timeout` seconds until the relay has what was sent.

        What the relay does not have by then is kept and sent by the next client of this directory. Iterators end.
        """
        self._native.close(timeout)

    def __enter__(self) -> SkytaleClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SkytaleClient(identity={self.identity!r})"


def native_settings(
    endpoint: str | None,
    data_dir: str | os.PathLike[str] | None,
    identity: bytes,
    api_key: str | None,
    api_url: str | None,
    mock: bool,
    mock_group: str | None,
) -> _native.Settings:
    """Resolves what was given, the environment and the defaults into the arguments of the native client."""
    if not isinstance(identity, bytes):
        raise TypeError(_NOT_BYTES.format(type(identity).__name__))
    if _settings.mock(mock):
        # Nothing on disk unless asked for: a mock is for tests, and two of them may have the same identity.
        return {
            "endpoint": "",
            "data_dir": os.fspath(data_dir) if data_dir else None,
            "identity": identity,
            "api_key": None,
            "api_url": None,
            "mock_group": mock_group or "default",
        }
    key = _settings.api_key(api_key)
    return {
        "endpoint": _settings.endpoint(endpoint),
        "data_dir": _settings.data_dir(data_dir, identity),
        "identity": identity,
        "api_key": key,
        "api_url": _settings.api_url(api_url) if key else None,
        "mock_group": None,
    }
