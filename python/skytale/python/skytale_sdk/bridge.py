"""Bridges between channels that speak different protocols.

    bridge = ProtocolBridge(manager)
    bridge.bridge("org/agents/a2a-in", "org/agents/slim-out", Protocol.A2A, Protocol.SLIM)
    ...
    bridge.stop()

The agent that runs a bridge is a member of both channels and reads what it translates.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from . import _native
from ._names import also
from .envelope import Envelope, Protocol
from .errors import SkytaleError, unknown_channel

if TYPE_CHECKING:
    from .manager import SkytaleChannelManager

__all__ = ["ProtocolBridge", "translate"]

_log = logging.getLogger("skytale_sdk")

# Seconds after which a bridge looks whether it has been stopped.
_ROUND = 1.0
# Name of the metadata in which bridges with a loop guard leave their ids.
_PASSED = "bridges"
# More bridges in a row than anybody sets up on purpose.
_MOST_BRIDGES = 16


def translate(envelope: Envelope, protocol: Protocol, *, routed: bool = False) -> Envelope:
    """Returns an envelope as one of another protocol: A2A, MCP and SLIM in all directions; others only change their tag.

    Args:
        envelope: what is translated; its own protocol decides how.
        protocol: what it becomes.
        routed: keep ids and errors of MCP in the metadata of A2A messages, so that answers find their requests.

    Raises:
        ValueError: the translation's header would have more than 65,536 bytes.
    """
    return Envelope.deserialize(_native.translate(envelope.serialize(), Protocol(protocol).value, routed))


class ProtocolBridge:
    """Takes envelopes from channels, translates them and sends them to other channels, in threads of its own.

    A message that cannot be translated or sent is reported and left out. A message may be sent twice if the program is killed
    between sending and taking the next ones.

    Args:
        manager: an agent that is in all the channels.
        routed: keep ids and errors of MCP, see `translate`. Off, translation is exactly that of published bridges.
        loop_guard: do not send on what this bridge has sent before. Needed where two bridges of different agents connect the
            same two channels, which would otherwise send a message back and forth for ever. Bridges leave their id in the
            metadata for that; raw messages become envelopes.
        on_failure: called with an envelope and the reason for which it was left out, in the bridge's thread; it is logged too.
    """

    def __init__(
        self,
        manager: SkytaleChannelManager,
        *,
        routed: bool = False,
        loop_guard: bool = False,
        on_failure: Callable[[Envelope, Exception], None] | None = None,
    ) -> None:
        self._manager = manager
        self._routed = routed
        self._id = uuid.uuid4().hex if loop_guard else None
        self._on_failure = on_failure
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    @also(source_channel="source", target_channel="target")
    def bridge(self, source: str, target: str, source_protocol: Protocol, target_protocol: Protocol) -> None:
        """Begins to translate what comes on one channel and to send it on another; for both directions call it twice.

        The bridge takes all messages of the source channel: the program must not receive on it itself.

        Args:
            source: channel where messages come from; the agent is in it.
            target: channel where they go; the agent is in it.
            source_protocol: what is mostly spoken there. Each envelope's own protocol decides how it is translated.
            target_protocol: what is spoken on the target channel.

        Raises:
            RuntimeError: the bridge has been stopped.
            UnknownChannelError: the agent is not in one of the channels; it is a `KeyError` too.
            ValueError: a protocol is unknown, or both channels are the same.
        """
        source_protocol, target_protocol = Protocol(source_protocol), Protocol(target_protocol)
        if source == target:
            raise ValueError(f"a bridge needs two channels, and {source} was named as both")
        if self._stopped.is_set():
            raise RuntimeError("bridge stopped; make a new ProtocolBridge")
        there = self._manager.list_channels()
        for name in (source, target):
            if name not in there:
                raise unknown_channel(name)
        thread = threading.Thread(
            target=self._run,
            args=(source, target, target_protocol),
            name=f"skytale-bridge-{source_protocol.value}-{target_protocol.value}",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Ends all directions for good; waits until their threads have ended. May be called again."""
        self._stopped.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def __enter__(self) -> ProtocolBridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, source: str, target: str, protocol: Protocol) -> None:
        is_silent = False
        while not self._stopped.is_set():
            try:
                envelopes = self._manager.receive_envelopes(source, timeout=_ROUND)
                is_silent = False
            except KeyError:
                if not self._stopped.is_set():
                    _log.error("the bridge from %s to %s has ended: the agent is not in %s any more", source, target, source)
                return
            except SkytaleError as error:
                # Told once, not in every round until it is over.
                if not is_silent:
                    _log.error("the bridge from %s to %s cannot receive: %s", source, target, error)
                is_silent = True
                self._stopped.wait(_ROUND)
                continue
            for envelope in envelopes:
                self._pass_on(envelope, source, target, protocol)

    def _pass_on(self, envelope: Envelope, source: str, target: str, protocol: Protocol) -> None:
        try:
            marked = self._marked(envelope)
            if marked is not None:
                self._manager.send_envelope(target, translate(marked, protocol, routed=self._routed))
        except Exception as error:
            _log.warning("a message was left out by the bridge from %s to %s: %s", source, target, error)
            self._report(envelope, error)

    def _marked(self, envelope: Envelope) -> Envelope | None:
        """The envelope with this bridge's id in it; None when it was here before."""
        if self._id is None:
            return envelope
        metadata = dict(envelope.metadata or {})
        before = metadata.get(_PASSED)
        passed = before if isinstance(before, list) else []
        if self._id in passed or len(passed) >= _MOST_BRIDGES:
            _log.debug("a message came back to the bridge %s and was not sent again", self._id)
            return None
        metadata[_PASSED] = [*passed, self._id]
        return replace(envelope, metadata=metadata)

    def _report(self, envelope: Envelope, error: Exception) -> None:
        if self._on_failure is None:
            return
        try:
            self._on_failure(envelope, error)
        except Exception:
            _log.exception("on_failure of a bridge failed")
