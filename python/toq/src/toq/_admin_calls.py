"""Requests about peers, permissions, the daemon and handlers, as plain values (see `_calls`)."""

from __future__ import annotations

from ._calls import Call, Json, get, given, keyed, listed, nothing, plain, post, segment, whole
from ._errors import ToqError


def peers() -> Call[list[Json]]:
    return get("/v1/peers", listed("peers"))


def block(key: str, from_addr: str) -> Call[None]:
    return Call("POST", "/v1/block", nothing, body=_rule("block", key, from_addr))


def unblock(key: str, from_addr: str) -> Call[None]:
    return Call("DELETE", "/v1/block", nothing, body=_rule("unblock", key, from_addr))


def approvals() -> Call[list[Json]]:
    return get("/v1/approvals", listed("approvals"))


def approve(approval_id: str, key: str, from_addr: str) -> Call[None]:
    if key or from_addr:
        return post("/v1/approve", nothing, _rule("approve", key, from_addr))
    return _decide(approval_id, "approve")


def deny(approval_id: str) -> Call[None]:
    return _decide(approval_id, "deny")


def revoke(approval_id: str, key: str, from_addr: str) -> Call[None]:
    if key or from_addr:
        return post("/v1/revoke", nothing, _rule("revoke", key, from_addr))
    return post(f"/v1/approvals/{segment(approval_id)}/revoke", nothing)


def permissions() -> Call[Json]:
    return get("/v1/permissions", whole)


def ping(address: str) -> Call[Json]:
    return post("/v1/ping", whole, {"address": address})


def discover(host: str) -> Call[list[Json]]:
    return get("/v1/discover", listed("agents"), host=host)


def discover_local() -> Call[list[Json]]:
    return get("/v1/discover/local", listed("agents"))


def connections() -> Call[list[Json]]:
    return get("/v1/connections", listed("connections"))


def health() -> Call[str]:
    return get("/v1/health", plain)


def status() -> Call[Json]:
    return get("/v1/status", whole)


def tree() -> Call[Json]:
    return get("/v1/tree", whole)


def shutdown(graceful: bool) -> Call[None]:
    return post("/v1/daemon/shutdown", nothing, {"graceful": graceful})


def logs() -> Call[list[Json]]:
    return get("/v1/logs", listed("entries"))


def clear_logs() -> Call[None]:
    return Call("DELETE", "/v1/logs", nothing)


def diagnostics() -> Call[Json]:
    return get("/v1/diagnostics", whole)


def check_upgrade() -> Call[Json]:
    return get("/v1/upgrade/check", whole)


def rotate_keys() -> Call[Json]:
    return post("/v1/keys/rotate", whole)


def export_backup(passphrase: str) -> Call[str]:
    return post("/v1/backup/export", keyed("data"), {"passphrase": passphrase})


def import_backup(passphrase: str, data: str) -> Call[None]:
    return post("/v1/backup/import", nothing, {"passphrase": passphrase, "data": data})


def config() -> Call[Json]:
    return get("/v1/config", keyed("config"))


def update_config(updates: Json) -> Call[Json]:
    return Call("PATCH", "/v1/config", keyed("config"), body=updates)


def card() -> Call[Json]:
    return get("/v1/card", whole)


def handlers() -> Call[list[Json]]:
    return get("/v1/handlers", listed("handlers"))


def add_handler(name: str, fields: Json) -> Call[Json]:
    return post("/v1/handlers", whole, {"name": name, **_with_lists(given(**fields))})


def update_handler(name: str, updates: Json) -> Call[Json]:
    return Call("PUT", f"/v1/handlers/{segment(name)}", whole, body=_with_lists(updates))


def remove_handler(name: str) -> Call[Json]:
    return Call("DELETE", f"/v1/handlers/{segment(name)}", whole)


def stop_handler(name: str, pid: int | None) -> Call[Json]:
    return post("/v1/handlers/stop", whole, {"name": name, **given(pid=pid)})


def _decide(approval_id: str, decision: str) -> Call[None]:
    return post(f"/v1/approvals/{segment(approval_id)}", nothing, {"decision": decision})


def _rule(verb: str, key: str, from_addr: str) -> Json:
    """Returns the rule body. An empty rule is an error: a caller that meant to block must not believe it did."""
    if from_addr:
        return {"from": from_addr}
    if key:
        return {"key": key}
    raise ToqError(f"{verb} needs a key or from_addr")


def _with_lists(fields: Json) -> Json:
    """Returns the fields with a single filter value made the list that the API takes."""
    return {
        name: [value] if name.startswith("filter_") and isinstance(value, str) else value
        for name, value in fields.items()
    }
