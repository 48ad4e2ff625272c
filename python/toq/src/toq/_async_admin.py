"""The async client's methods about peers, permissions, the daemon and handlers."""

from __future__ import annotations

from typing import Any

from . import _admin_calls as _calls
from ._async_transport import AsyncTransport
from ._calls import Json


class AsyncAdmin:
    """Mixed into `AsyncClient`; see there."""

    _transport: AsyncTransport

    async def peers(self) -> list[Json]:
        """Returns the agents this one has talked to."""
        return await self._transport.run(_calls.peers())

    async def block(self, public_key: str = "", *, key: str = "", from_addr: str = "") -> None:
        """Blocks an agent by key, or all that match an address pattern."""
        return await self._transport.run(_calls.block(key or public_key, from_addr))

    async def unblock(self, public_key: str = "", *, key: str = "", from_addr: str = "") -> None:
        """Takes back a `block`."""
        return await self._transport.run(_calls.unblock(key or public_key, from_addr))

    async def approvals(self) -> list[Json]:
        """Returns the agents that wait to be let in."""
        return await self._transport.run(_calls.approvals())

    async def approve(self, approval_id: str = "", *, key: str = "", from_addr: str = "") -> None:
        """Lets in a waiting agent, or in advance those with a key or matching an address pattern."""
        return await self._transport.run(_calls.approve(approval_id, key, from_addr))

    async def deny(self, approval_id: str) -> None:
        """Drops a request; the agent may ask again."""
        return await self._transport.run(_calls.deny(approval_id))

    async def revoke(self, approval_id: str = "", *, key: str = "", from_addr: str = "") -> None:
        """Takes back an `approve`."""
        return await self._transport.run(_calls.revoke(approval_id, key, from_addr))

    async def permissions(self) -> Json:
        """Returns the `approved` and `blocked` rules."""
        return await self._transport.run(_calls.permissions())

    async def ping(self, address: str) -> Json:
        """Returns whether an agent is `reachable`, and its key."""
        return await self._transport.run(_calls.ping(address))

    async def discover(self, host: str) -> list[Json]:
        """Returns the agents a host announces in DNS."""
        return await self._transport.run(_calls.discover(host))

    async def discover_local(self) -> list[Json]:
        """Returns the agents announced on the local network."""
        return await self._transport.run(_calls.discover_local())

    async def connections(self) -> list[Json]:
        """Returns the open sessions."""
        return await self._transport.run(_calls.connections())

    async def health(self) -> str:
        """Returns `"ok"` if the daemon is up."""
        return await self._transport.run(_calls.health())

    async def status(self) -> Json:
        """Returns the daemon's state, address and counters."""
        return await self._transport.run(_calls.status())

    async def tree(self) -> Json:
        """Returns the daemon's live actors, nested."""
        return await self._transport.run(_calls.tree())

    async def shutdown(self, graceful: bool = True) -> None:
        """Stops the daemon."""
        return await self._transport.run(_calls.shutdown(graceful))

    async def logs(self, follow: bool = False) -> Any:
        """Returns the daemon's log entries."""
        return await self._transport.run(_calls.logs())

    async def clear_logs(self) -> None:
        """Deletes the daemon's log entries."""
        return await self._transport.run(_calls.clear_logs())

    async def diagnostics(self) -> Json:
        """Returns the daemon's checks of itself."""
        return await self._transport.run(_calls.diagnostics())

    async def check_upgrade(self) -> Json:
        """Returns whether a newer daemon exists."""
        return await self._transport.run(_calls.check_upgrade())

    async def rotate_keys(self) -> Json:
        """Replaces the identity key; the answer has both keys and the proof."""
        return await self._transport.run(_calls.rotate_keys())

    async def export_backup(self, passphrase: str) -> str:
        """Returns the agent's identity and settings, encrypted."""
        return await self._transport.run(_calls.export_backup(passphrase))

    async def import_backup(self, passphrase: str, data: str) -> None:
        """Restores what `export_backup` returned."""
        return await self._transport.run(_calls.import_backup(passphrase, data))

    async def config(self) -> Json:
        """Returns the settings."""
        return await self._transport.run(_calls.config())

    async def update_config(self, **updates: Any) -> Json:
        """Changes settings and returns all of them."""
        return await self._transport.run(_calls.update_config(updates))

    async def card(self) -> Json:
        """Returns what this agent tells others about itself."""
        return await self._transport.run(_calls.card())

    async def handlers(self) -> list[Json]:
        """Returns the registered handlers."""
        return await self._transport.run(_calls.handlers())

    async def add_handler(
        self,
        name: str,
        command: str = "",
        *,
        provider: str = "",
        model: str = "",
        prompt: str | None = None,
        prompt_file: str | None = None,
        max_turns: int | None = None,
        auto_close: bool = False,
        filter_from: str | list[str] | None = None,
        filter_key: str | list[str] | None = None,
        filter_type: str | list[str] | None = None,
    ) -> Json:
        """Registers a shell command, or a model of a provider, that runs for incoming messages."""
        fields = {
            "command": command,
            "provider": provider,
            "model": model,
            "prompt": prompt,
            "prompt_file": prompt_file,
            "max_turns": max_turns,
            "auto_close": auto_close,
            "filter_from": filter_from,
            "filter_key": filter_key,
            "filter_type": filter_type,
        }
        return await self._transport.run(_calls.add_handler(name, fields))

    async def remove_handler(self, name: str) -> Json:
        """Deletes a handler."""
        return await self._transport.run(_calls.remove_handler(name))

    async def update_handler(self, name: str, **updates: Any) -> Json:
        """Changes fields of a handler."""
        return await self._transport.run(_calls.update_handler(name, updates))

    async def stop_handler(self, name: str, *, pid: int | None = None) -> Json:
        """Kills a handler's running processes, or one of them."""
        return await self._transport.run(_calls.stop_handler(name, pid))
