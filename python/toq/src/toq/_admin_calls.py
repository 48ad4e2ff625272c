"""Requests about peers, permissions, the daemon and handlers, as plain values (see `_calls`).

Signatures and descriptions are those of the clients' methods, which `_admin` makes of these functions.
"""

from __future__ import annotations

from typing import Any

import httpx

from ._calls import Call, Json, get, given, keyed, listed, nothing, plain, post, segment, whole
from ._errors import ToqError


def peers() -> Call[list[Json]]:
    """Returns the agents this one has talked to."""
    return get("/v1/peers", listed("peers"))


def block(public_key: str = "", *, key: str = "", from_addr: str = "") -> Call[None]:
    """Blocks an agent by key, or all that match an address pattern."""
    return Call("POST", "/v1/block", nothing, body=_rule("block", key or public_key, from_addr))


def unblock(public_key: str = "", *, key: str = "", from_addr: str = "") -> Call[None]:
    """Takes back a `block`."""
    return Call("DELETE", "/v1/block", nothing, body=_rule("unblock", key or public_key, from_addr))


def approvals() -> Call[list[Json]]:
    """Returns the agents that wait to be let in."""
    return get("/v1/approvals", listed("approvals"))


def approve(approval_id: str = "", *, key: str = "", from_addr: str = "") -> Call[None]:
    """Lets in a waiting agent, by its `id` in `approvals()`, or in advance a key or an address pattern."""
    if key or from_addr:
        return post("/v1/approve", nothing, _rule("approve", key, from_addr))
    return _decide(approval_id, "approve")


def deny(approval_id: str) -> Call[None]:
    """Drops a request, by its `id` in `approvals()`; the agent may ask again."""
    return _decide(approval_id, "deny")


def revoke(approval_id: str = "", *, key: str = "", from_addr: str = "") -> Call[None]:
    """Takes back an `approve`."""
    if key or from_addr:
        return post("/v1/revoke", nothing, _rule("revoke", key, from_addr))
    return post(f"/v1/approvals/{_approval('revoke', approval_id)}/revoke", nothing)


def permissions() -> Call[Json]:
    """Returns the `approved` and `blocked` rules."""
    return get("/v1/permissions", whole)


def ping(address: str) -> Call[Json]:
    """Returns whether an agent is `reachable`, and its key."""
    return post("/v1/ping", whole, {"address": address})


def discover(host: str) -> Call[list[Json]]:
    """Returns the agents a host announces in DNS."""
    return get("/v1/discover", listed("agents"), host=host)


def discover_local() -> Call[list[Json]]:
    """Returns the agents announced on the local network."""
    return get("/v1/discover/local", listed("agents"))


def connections() -> Call[list[Json]]:
    """Returns the open sessions."""
    return get("/v1/connections", listed("connections"))


def health() -> Call[str]:
    """Returns `"ok"` if the daemon is up."""
    return get("/v1/health", plain)


def status() -> Call[Json]:
    """Returns the daemon's state, address and counters."""
    return get("/v1/status", whole)


def tree() -> Call[Json]:
    """Returns the daemon's live actors, nested."""
    return get("/v1/tree", whole)


def shutdown(graceful: bool = True) -> Call[None]:
    """Stops the daemon."""
    return post("/v1/daemon/shutdown", nothing, {"graceful": graceful})


def logs(follow: bool = False) -> Call[Any]:
    """Returns the daemon's log entries."""
    return get("/v1/logs", listed("entries"))


def clear_logs() -> Call[None]:
    """Deletes the daemon's log entries."""
    return Call("DELETE", "/v1/logs", nothing)


def diagnostics() -> Call[Json]:
    """Returns the daemon's checks of itself."""
    return get("/v1/diagnostics", whole)


def check_upgrade() -> Call[Json]:
    """Returns whether a newer daemon exists."""
    return get("/v1/upgrade/check", whole)


def rotate_keys() -> Call[Json]:
    """Replaces the identity key; the answer has both keys and the proof."""
    return post("/v1/keys/rotate", whole)


def export_backup(passphrase: str) -> Call[str]:
    """Returns the agent's identity and settings, encrypted."""
    return post("/v1/backup/export", keyed("data"), {"passphrase": passphrase})


def import_backup(passphrase: str, data: str) -> Call[None]:
    """Restores what `export_backup` returned with the daemon's next start; until then it is the old agent."""
    return post("/v1/backup/import", nothing, {"passphrase": passphrase, "data": data})


def config() -> Call[Json]:
    """Returns the settings."""
    return get("/v1/config", keyed("config"))


def update_config(**updates: Any) -> Call[Json]:
    """Changes settings and returns all of them; `None` brings a default back.

    The answer's attribute `needs_restart` lists the keys that take effect only with the daemon's next start.
    """
    return Call("PATCH", "/v1/config", _settings, body=updates)


class Settings(dict[str, Any]):
    """All settings after a change, as a dictionary."""

    needs_restart: list[str]


def _settings(response: httpx.Response) -> Settings:
    settings = Settings(keyed("config")(response))
    settings.needs_restart = list(whole(response).get("needs_restart") or [])
    return settings


def card() -> Call[Json]:
    """Returns what this agent tells others about itself."""
    return get("/v1/card", whole)


def handlers() -> Call[list[Json]]:
    """Returns the registered handlers."""
    return get("/v1/handlers", listed("handlers"))


def add_handler(
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
) -> Call[Json]:
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
    return post("/v1/handlers", whole, {"name": name, **_with_lists(given(**fields))})


def remove_handler(name: str) -> Call[Json]:
    """Deletes a handler."""
    return Call("DELETE", f"/v1/handlers/{segment(name)}", whole)


def update_handler(name: str, **updates: Any) -> Call[Json]:
    """Changes fields of a handler."""
    return Call("PUT", f"/v1/handlers/{segment(name)}", whole, body=_with_lists(updates))


def pause_handler(name: str) -> Call[Json]:
    """Lets a handler begin nothing until it is resumed or the daemon starts again; messages wait."""
    return post(f"/v1/handlers/{segment(name)}/pause", whole)


def resume_handler(name: str) -> Call[Json]:
    """Lets a handler go on that was paused or is broken; `broken` in the answer says why it still does not work."""
    return post(f"/v1/handlers/{segment(name)}/resume", whole)


def stop_handler(name: str, *, pid: int | None = None) -> Call[Json]:
    """Kills a handler's running processes, or one of them."""
    return post("/v1/handlers/stop", whole, {"name": name, **given(pid=pid)})


def handler(name: str) -> Call[Json]:
    """Returns one handler."""
    return get(f"/v1/handlers/{segment(name)}", whole)


def set_aside(name: str) -> Call[list[Json]]:
    """Returns the messages that a handler failed on too often: `message`, `reason`, `attempts`, `timestamp`."""
    return get(f"/v1/handlers/{segment(name)}/set-aside", listed("messages"))


def forget_conversations(public_key: str) -> Call[None]:
    """Has handlers forget what was said with an agent so far; the history keeps the messages."""
    return Call("DELETE", f"/v1/peers/{segment(public_key)}/conversations", nothing)


def retry_handler(name: str, *ids: str) -> Call[Json]:
    """Has a handler try messages again that it set aside; all of them if no id is given."""
    return post(f"/v1/handlers/{segment(name)}/retry", whole, {"ids": list(ids)} if ids else {})


def audit(*, after: int | None = None, limit: int = 100) -> Call[list[Json]]:
    """Returns decisions about rules, keys, handlers and settings, oldest first: those after a place, or the newest."""
    return get("/v1/audit", listed("records"), limit=str(limit), **({} if after is None else {"after": str(after)}))


def verify_audit(*, head: str | None = None) -> Call[Json]:
    """Checks that no record was changed or taken out: `ok`, `records`, `head`, `fault`.

    A `head` that was noted elsewhere and is given again shows that nothing before it was touched.
    """
    return get("/v1/audit/verify", whole, **({} if head is None else {"head": head}))


def delete_file(sha256: str) -> Call[Json]:
    """Deletes a file that came; the message that brought it stays."""
    return Call("DELETE", f"/v1/files/{segment(sha256)}", whole)


def _decide(approval_id: str, decision: str) -> Call[None]:
    return post(f"/v1/approvals/{_approval(decision, approval_id)}", nothing, {"decision": decision})


def _approval(verb: str, approval_id: str) -> str:
    """Returns the path's part that names a request. None at all is an error that says what there is to say."""
    if not approval_id:
        ways = "" if verb == "deny" else ", or key=..., or from_addr=..."
        raise ToqError(f"{verb} needs to be told whom: the id of one of approvals(){ways}")
    return segment(approval_id)


def _rule(verb: str, key: str, from_addr: str) -> Json:
    """Returns the rule body. An empty rule is an error: a caller that meant to block must not believe it did."""
    if from_addr:
        return {"from": from_addr}
    if key:
        return {"key": key}
    raise ToqError(f"{verb} needs to be told whom: key=..., or from_addr=...")


def _with_lists(fields: Json) -> Json:
    """Returns the fields with a single filter value made the list that the API takes."""
    return {
        name: [value] if name.startswith("filter_") and isinstance(value, str) else value
        for name, value in fields.items()
    }
