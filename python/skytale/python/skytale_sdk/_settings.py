"""Where a client finds its relay, its API server and its state: argument, then environment, then default."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SkytaleError

if TYPE_CHECKING:
    from ._native import Settings

RELAY = "http://127.0.0.1:5000"
API = "http://127.0.0.1:8080"

# A component of a path has at most 255 bytes on the usual file systems.
_LONGEST_NAME = 128


def resolve(
    identity: bytes,
    *,
    endpoint: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    api_url: str | None = None,
    mock: bool = False,
    mock_group: str | None = None,
    padding: bool = False,
    unbound_joins: bool = False,
    pins: Mapping[bytes, bytes] | None = None,
    passphrase: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    max_unread: int | None = None,
) -> Settings:
    """Returns the arguments of the native client."""
    if not isinstance(identity, bytes):
        raise TypeError(f"identity must be bytes, not {type(identity).__name__}")
    # A key that was read from a file has the end of its line.
    key = (api_key or os.environ.get("SKYTALE_API_KEY") or "").strip() or None
    settings: Settings = {
        "endpoint": endpoint or os.environ.get("SKYTALE_RELAY") or RELAY,
        "data_dir": _data_dir(data_dir, identity),
        "identity": identity,
        "api_key": key,
        "api_url": (api_url or os.environ.get("SKYTALE_API_URL") or API) if key else None,
        "mock_group": None,
        "padding": padding,
        "unbound_joins": unbound_joins,
        "pins": _pins(pins or {}),
        "passphrase": passphrase or os.environ.get("SKYTALE_PASSPHRASE") or None,
        "ca": _certificates(ca_file) if ca_file else None,
        "max_unread": _positive(max_unread, "max_unread"),
    }
    if mock or os.environ.get("SKYTALE_MOCK", "").strip().lower() in ("1", "true", "yes"):
        # Nothing on disk unless asked for: a mock is for tests, and two of them may have the same identity.
        settings["data_dir"] = os.fspath(data_dir) if data_dir else None
        settings["mock_group"] = mock_group or "default"
        settings["api_key"] = settings["api_url"] = None
    return settings


def _certificates(ca_file: str | os.PathLike[str]) -> bytes:
    try:
        certificates = Path(ca_file).read_bytes()
    except OSError as error:
        raise SkytaleError(f"runtime error: the certificates of ca_file cannot be read: {error}", "ca_file") from error
    if b"-----BEGIN CERTIFICATE-----" not in certificates:
        text = f"runtime error: {os.fspath(ca_file)} has no certificate; ca_file is a file in PEM (-----BEGIN CERTIFICATE-----)"
        raise SkytaleError(text, "ca_file")
    return certificates


def _positive(number: int | None, name: str) -> int | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name} is a number of bytes, not {type(number).__name__}")
    if not 1 <= number < 1 << 63:
        raise ValueError(f"{name} is {number}; it is at least 1, and below 2**63")
    return number


def _pins(pins: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    for identity, key in pins.items():
        if not isinstance(identity, bytes) or not isinstance(key, bytes) or len(key) != 32:
            raise TypeError("pins maps identities (bytes) to agent keys (32 bytes)")
    return dict(pins)


def _data_dir(given: str | os.PathLike[str] | None, identity: bytes) -> str:
    chosen = os.fspath(given) if given else os.environ.get("SKYTALE_DATA_DIR")
    return chosen or str(Path.home() / ".skytale" / _folder(identity))


def _folder(identity: bytes) -> str:
    name = identity.hex() or "nobody"
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(identity).hexdigest()
