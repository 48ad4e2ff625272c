"""The channel manager under the name of the module that holds it in the published package."""

from .manager import SkytaleChannelManager

__all__ = ["SkytaleChannelManager"]
