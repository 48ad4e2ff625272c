"""The module `crewai` under the name that it has in the published package."""

from .crewai import create_manager, tools

__all__ = ["create_manager", "tools"]
