"""Closes the clients that are still open when the interpreter ends.

A program that sends and ends would otherwise leave its last messages in its data directory until its next run.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref

from . import _native

# A program that ends does not wait longer than this, in seconds, for a relay that is not there.
_PATIENCE = 2.0

# Forgets a client that is collected.
_open: weakref.WeakSet[_native.Client] = weakref.WeakSet()
_process = os.getpid()


def remember(client: _native.Client) -> None:
    _open.add(client)


def _close_all() -> None:
    # A forked child has copies of its parent's clients, but they are not its own.
    if os.getpid() != _process:
        return
    for client in list(_open):
        with contextlib.suppress(Exception):
            client.close(_PATIENCE)


atexit.register(_close_all)
