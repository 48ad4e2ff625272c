"""Who listens at a port of this machine.

A daemon that has crashed leaves its state file behind, and any user of the machine may listen at its port then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS = "0A"


def is_strangers(port: int) -> bool:
    """Returns whether another user listens at the port. Where the system does not tell, nobody is suspected."""
    return hasattr(os, "geteuid") and any(user != os.geteuid() for user in _listeners(port))


def _listeners(port: int) -> Iterator[int]:
    for table in _TABLES:
        try:
            rows = table.read_text(encoding="ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for row in rows:
            # See proc_pid_net(5): number, local address, remote address, state, queues, timer, retransmissions, user.
            fields = row.split()
            if len(fields) > 7 and fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield int(fields[7])
