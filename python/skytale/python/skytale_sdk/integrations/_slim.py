"""The module `slim` under the name that it has in the published package."""

from .slim import SLIMAdapter

__all__ = ["SLIMAdapter"]
