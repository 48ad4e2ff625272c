"""Adapters for protocols and agent frameworks, one module each.

`a2a`, `mcp_transport` and `slim` need nothing but the package. `mcp`, `langgraph` and `crewai` need the framework they are for:
`pip install 'skytale-sdk[mcp]'` and so on. Each module is there under its name with an underscore too.
"""

from __future__ import annotations

import importlib
from types import ModuleType

_MODULES = ("a2a", "crewai", "langgraph", "mcp", "mcp_transport", "slim")


def __getattr__(name: str) -> ModuleType:
    """Imports a module when it is first asked for as an attribute, so that nobody needs frameworks that they do not use."""
    if name.removeprefix("_") in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
