"""The client: one agent, one data directory, one connection to the relay, any number of channels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType

from . import _exit, _mock, _native, _settings
from ._names import also
from ._native import Channel


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
        padding: whether messages are padded to few lengths, so that the relay learns less from them. Members with the
            published package before 0.5.2 cannot read padded messages.
        unbound_joins: whether members may join by an invite without proving to its maker that they hold it, as those with the
            published package do. The API server could then let in somebody else.
        pins: agent keys that are known already, by identity. A member that calls itself so with another key, or none, is not
            added by this client, and a channel that has such a member is not joined.
        passphrase: what the state in `data_dir` is sealed with; else `SKYTALE_PASSPHRASE`, else a key file beside it.
        ca_file: certificates (PEM) to trust besides those of the system.
        max_unread: how many bytes of messages may wait to be read in each channel, about: each counts 128 bytes more than it
            has; 256 MiB unless given. Nothing more is taken from the relay then, and nothing sent in that channel, until half
            of them were read.

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
        *,
        padding: bool = False,
        unbound_joins: bool = False,
        pins: Mapping[bytes, bytes] | None = None,
        passphrase: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        max_unread: int | None = None,
    ) -> None:
        settings = _settings.resolve(
            identity,
            endpoint=endpoint,
            data_dir=data_dir,
            api_key=api_key,
            api_url=api_url,
            mock=mock,
            mock_group=mock_group,
            padding=padding,
            unbound_joins=unbound_joins,
            pins=pins,
            passphrase=passphrase,
            ca_file=ca_file,
            max_unread=max_unread,
        )
        self._mock_group = settings["mock_group"]
        self._native = _native.Client.open(**settings)
        _exit.remember(self._native)

    @property
    def identity(self) -> bytes:
        """What the other members see as the sender."""
        return self._native.identity

    def create_channel(self, name: str, proven: bool = False) -> Channel:
        """Creates a channel of which the caller is the first member and owner.

        A channel of that name that this client already has is replaced: its members are not in the new one. To go on with
        a channel that is kept in `data_dir`, use `open_channel`.

        Args:
            name: `org/namespace/service`.
            proven: whether to admit only members whose identity is proven (see `prove`), which those with the published package
                are not. What members do to the group is then hidden from the relay as well.

        Raises:
            ChannelError: `name` is not `org/namespace/service`; or the caller is not proven and the channel wants that.
        """
        return self._native.create_channel(name, proven)

    def generate_key_package(self) -> bytes:
        """Makes a key package, with which a member can add this client to one channel, once."""
        return self._native.generate_key_package()

    @also(welcome_bytes="welcome")
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
        if self._mock_group is not None:
            return _mock.invite(self._mock_group, self._native, name, max_uses, ttl)
        return self._native.invite(name, max_uses, ttl)

    def join_with_token(self, name: str, token: str, timeout: float = 60.0) -> Channel:
        """Joins a channel by an invite token, waiting up to `timeout` seconds for a member to let this client in.

        The token is used once by this client, however often this is called with it: after a timeout, Ctrl-C or a crash the next
        call, of a new process too, waits on for the same answer, or finds it. Who does not want to come in after all calls
        `withdraw_join`.

        Raises:
            ChannelError: the token is unknown, expired, used up or for another channel, or the member that made it lets nobody in
                with it.
            SkytaleError: nobody answered in time, or this client has no API key.
        """
        if self._mock_group is not None:
            return _mock.join(self._mock_group, self._native, name, token)
        return self._native.join_with_token(name, token, timeout)

    def withdraw_join(self, name: str, token: str) -> bool:
        """Takes back what `join_with_token` asked for with this token, and gives its use back: nobody lets this client in.

        Returns:
            False where nothing was asked for with it.

        Raises:
            ChannelError: a member has let this client in, or is just doing so: `join_with_token` and `Channel.leave` end that; or
                another call still waits with the token.
        """
        if self._mock_group is not None:
            return _mock.withdraw(self._native, name, token)
        return self._native.withdraw_join(name, token)

    def rotate_key(self, name: str) -> None:
        """Replaces this client's key in a channel; the same as `Channel.rotate_key`.

        Raises:
            ChannelError: there is no such channel.
        """
        self._native.open_channel(name).rotate_key()

    def export_audit_key(self, name: str) -> bytes:
        """A secret of 32 bytes that all members of a channel's epoch have; the same as `Channel.export_audit_key`.

        Raises:
            ChannelError: there is no such channel.
        """
        return self._native.open_channel(name).export_audit_key()

    def statement(self) -> bytes:
        """What an agent key has to sign for `prove`."""
        return self._native.statement()

    def prove(self, key: bytes, signature: bytes) -> None:
        """Binds this client to an agent key: members of channels that it enters from now on see it as proven.

        Args:
            key: the public Ed25519 key, 32 bytes.
            signature: its signature of `statement()`, 64 bytes.

        Raises:
            MlsError: the signature is not that.
        """
        self._native.prove(key, signature)

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
