"""What is received: bytes that know where they come from."""

from __future__ import annotations

from typing import NamedTuple


class Message(bytes):
    """A decrypted message. It is its payload: `bytes(message)`, `len(message)` and `==` work as for any bytes."""

    channel: str
    """Name of the channel it came on."""
    sender: bytes
    """Identity of the member who sent it, as authenticated by the group."""
    epoch: int
    """Epoch of the group in which it was sent."""
    seq: int | None
    """Its place in the relay's log of the channel; None when the relay names no places."""
    proven: bool
    """Whether some agent key vouches for the sender's identity. Anybody can make one: compare `key`, or set `pins`."""
    key: bytes | None
    """The agent key that vouches for the sender, 32 bytes; None when it is not proven."""

    def __new__(
        cls,
        payload: bytes = b"",
        channel: str = "",
        sender: bytes = b"",
        epoch: int = 0,
        seq: int | None = None,
        proven: bool = False,
        key: bytes | None = None,
    ) -> Message:
        message = super().__new__(cls, payload)
        message.channel = channel
        message.sender = sender
        message.epoch = epoch
        message.seq = seq
        message.proven = proven
        message.key = key
        return message

    @property
    def text(self) -> str:
        """The payload as UTF-8; what is not UTF-8 becomes U+FFFD."""
        return self.decode("utf-8", "replace")


class Member(NamedTuple):
    """One member of a channel."""

    identity: bytes
    """Identity as given by the member; not unique."""
    leaf: int
    """Its place in the group: what names a member when two have the same identity."""
    role: str
    """`owner` or `member`."""
    proven: bool
    """Whether some agent key vouches for the identity. Anybody can make one: compare `key`, or set `pins`."""
    me: bool
    """Whether this is the caller."""
    key: bytes | None = None
    """The agent key that vouches for the identity, 32 bytes; None when it is not proven."""
    signature_key: bytes = b""
    """The key with which it signs in this channel's group. With `leaf` it means this member and nobody who has the leaf later."""


class Event(NamedTuple):
    """Something that happened to a channel since the client was opened, other than a message."""

    kind: str
    """`member_added`, `member_removed`, `key_rotated`, `owners_changed`; `removed` or `left` (this member); `join_refused`,
    `commit_refused`, `message_refused` (somebody tried what it may not); `relay_misbehaving`, `behind`, `restored_copy`,
    `subscription_refused`, `access_refused` (the key was revoked), `over_quota`, `inbox_full` (nothing more is taken in until
    something was read), `pin_broken` (a member was let in whose name is pinned to another key)."""
    channel: str
    """Name of the channel."""
    subject: bytes
    """Identity of the member it is about; empty when it is about none."""
    by: bytes
    """Identity of the member who did it; empty when nobody did."""
    epoch: int
    """The epoch that it began, or in which it was seen."""
    detail: str
    """What there is to say for people; may be empty."""
