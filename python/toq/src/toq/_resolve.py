"""Where the daemon is.

Looked up in this order: an explicit URL, `TOQ_URL`, `./.toq/state.json`, `~/.toq/state.json`, the default port.

Messages are handed to whoever listens at the result, so two things are refused rather than tried: plain http
to another machine, and a state file that another user of this machine could have written.
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import httpx

from ._errors import ToqError

DEFAULT_URL = "http://127.0.0.1:9009"
_STATE = Path(".toq") / "state.json"


@dataclass
class Target:
    """The daemon's URL, and the state file it came from, if it came from one."""

    url: str
    state: Path | None = None

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(httpx.URL(self.url).host)

    def refresh(self) -> bool:
        """Returns whether the daemon has moved: one that picks a free port has a new one after a restart."""
        port = _port(self.state) if self.state else None
        if port is None or self.url == _local(port):
            return False
        self.url = _local(port)
        return True


def resolve(url: str | None = None) -> Target:
    """Returns the target that `connect(url)` talks to, without contacting it."""
    explicit = url or os.environ.get("TOQ_URL")
    if explicit:
        return Target(checked(explicit))
    for locate in (Path.cwd, Path.home):
        try:
            state = locate() / _STATE
        except (OSError, RuntimeError):
            continue  # the directory was deleted, or there is no home
        port = _port(state)
        if port is not None:
            return Target(_local(port), state)
    return Target(DEFAULT_URL)


def checked(url: str) -> str:
    """Returns the URL without a trailing slash.

    Raises `ToqError` if it is not an http(s) URL, or would carry messages unencrypted to another host.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ToqError(f"not a daemon URL: {url!r}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ToqError(f"not a daemon URL: {url!r}; expected something like {DEFAULT_URL}")
    if parsed.scheme == "http" and not _is_loopback(parsed.host):
        raise ToqError(
            f"refusing plain http to {parsed.host}: messages would cross the network unencrypted; use https://"
        )
    return url.rstrip("/")


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(state: Path) -> int | None:
    try:
        with state.open(encoding="utf-8") as file:
            _check_owner(state, os.fstat(file.fileno()))
            port = json.load(file).get("port")
    except (OSError, ValueError, AttributeError):
        return None  # no daemon here, or one that is just writing the file
    is_port = isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536
    return port if is_port else None


def _check_owner(state: Path, status: os.stat_result) -> None:
    if not hasattr(os, "geteuid"):
        return
    me = os.geteuid()
    is_foreign = me != 0 and status.st_uid not in (me, 0)
    if is_foreign or status.st_mode & stat.S_IWOTH:
        raise ToqError(f"refusing {state}: another user could have written it; pass a URL or set TOQ_URL")
