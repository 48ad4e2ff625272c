"""Where the daemon is.

Looked up in this order: an explicit URL, `TOQ_URL`, `./.toq/state.json`, `~/.toq/state.json`, the default port.

Its token, where it asks for one: an explicit one, `TOQ_TOKEN`, the file `keys/api.token` beside the state file.

Messages are handed to whoever listens at the result, so these are refused rather than tried: plain http to another
machine, a state file that another user of this machine could have written, and a token for another user's program.
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ._errors import ToqError
from ._listener import is_strangers

DEFAULT_URL = "http://127.0.0.1:9009"
_STATE = Path(".toq") / "state.json"
_TOKEN = Path("keys") / "api.token"
_LONGEST_TOKEN = 4096


@dataclass
class Target:
    """The daemon's URL, the state file it came from, if it came from one, and the token that was given for it."""

    url: str
    state: Path | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(httpx.URL(self.url).host)

    def credentials(self) -> dict[str, str]:
        """Returns the headers that show the token.

        The workspace's own file is read anew each time: it comes with the daemon's start, and may be replaced.
        Raises `ToqError` where another user has taken the place that the workspace's daemon had.
        """
        token = self.token or (_kept(self.state.parent / _TOKEN) if self.state else None)
        port = httpx.URL(self.url).port
        if token and self.state and port and is_strangers(port):
            raise ToqError(
                f"another user's program listens where {self.state} says that the daemon is (port {port}); "
                "it was not shown the token. Start the daemon with `toq up`"
            )
        return {"Authorization": f"Bearer {token}"} if token else {}

    def refresh(self) -> bool:
        """Returns whether the daemon has moved: one that picks a free port has a new one after a restart."""
        port = _port(self.state) if self.state else None
        if port is None or self.url == _local(port):
            return False
        self.url = _local(port)
        return True


def resolve(url: str | None = None, token: str | None = None) -> Target:
    """Returns the target that `connect(url, token=token)` talks to, without contacting it."""
    token = shown(token)
    explicit = url or os.environ.get("TOQ_URL")
    if explicit:
        return Target(checked(explicit), token=token)
    for locate in (Path.cwd, Path.home):
        try:
            state = locate() / _STATE
        except (OSError, RuntimeError):
            continue  # the directory was deleted, or there is no home
        port = _port(state)
        if port is not None:
            return Target(_local(port), state, token)
    return Target(DEFAULT_URL, token=token)


def shown(token: str | None) -> str | None:
    """Returns the token to show, from `TOQ_TOKEN` if none is given.

    Raises `ToqError` if it cannot stand in a header.
    """
    token = (token or os.environ.get("TOQ_TOKEN") or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise ToqError("the token has characters that none has; give the line that is in keys/api.token")
    return token or None


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


def _kept(file: Path) -> str | None:
    """Returns the token in a file, or nothing where it cannot be read: then the daemon asks for none of us."""
    try:
        with file.open(encoding="ascii") as text:
            token = text.read(_LONGEST_TOKEN).strip()
    except (OSError, ValueError):
        return None
    return token if token.isprintable() and token else None


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
