"""Encrypted channels for agents.

A channel is a name (`org/namespace/service`) and a group of members who share keys (MLS, RFC 9420). Messages travel through a
relay, which sees their size and their channel but not what they say.

    from skytale_sdk import SkytaleChannelManager

    alice = SkytaleChannelManager(identity=b"alice")
    alice.create("myorg/team/general")
    token = alice.invite("myorg/team/general")

    bob = SkytaleChannelManager(identity=b"bob")
    bob.join_with_token("myorg/team/general", token)
    alice.send("myorg/team/general", "Hello from Alice!")
    print(bob.receive("myorg/team/general"))
"""

from importlib.metadata import version as _version

from ._native import Channel, MessageIterator
from .client import SkytaleClient
from .envelope import Envelope, Protocol
from .errors import AuthError, ChannelError, MlsError, QuotaExceededError, SkytaleError, TransportError, UnknownChannelError
from .manager import SkytaleChannelManager
from .message import Event, Member, Message

__version__ = _version("skytale-sdk")

__all__ = [
    "AuthError",
    "Channel",
    "ChannelError",
    "Envelope",
    "Event",
    "Member",
    "Message",
    "MessageIterator",
    "MlsError",
    "Protocol",
    "QuotaExceededError",
    "SkytaleChannelManager",
    "SkytaleClient",
    "SkytaleError",
    "TransportError",
    "UnknownChannelError",
]
