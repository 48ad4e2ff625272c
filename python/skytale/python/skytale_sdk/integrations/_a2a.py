"""The module `a2a` under the name that it has in the published package."""

from .a2a import SkytaleA2AAdapter

__all__ = ["SkytaleA2AAdapter"]
