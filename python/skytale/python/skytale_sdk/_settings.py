"""Where a client finds its relay, its API server and its state: argument, then environment, then default."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

RELAY = "http://127.0.0.1:5000"
API = "http://127.0.0.1:8080"

# A component of a path has at most 255 bytes on the usual file systems.
_LONGEST_NAME = 128


def endpoint(given: str | os.PathLike[str] | None) -> str:
    return os.fspath(given) if given else os.environ.get("SKYTALE_RELAY") or RELAY


def api_key(given: str | None) -> str | None:
    return given or os.environ.get("SKYTALE_API_KEY") or None


def api_url(given: str | None) -> str:
    return given or os.environ.get("SKYTALE_API_URL") or API


def data_dir(given: str | os.PathLike[str] | None, identity: bytes) -> str:
    chosen = os.fspath(given) if given else os.environ.get("SKYTALE_DATA_DIR")
    return chosen or str(Path.home() / ".skytale" / _folder(identity))


def mock(given: bool) -> bool:
    return given or os.environ.get("SKYTALE_MOCK", "").strip().lower() in ("1", "true", "yes")


def _folder(identity: bytes) -> str:
    name = identity.hex() or "nobody"
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(identity).hexdigest()
