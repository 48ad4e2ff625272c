"""The module `langgraph` under the name that it has in the published package."""

from .langgraph import create_manager, tools

__all__ = ["create_manager", "tools"]
