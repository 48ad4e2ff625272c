"""The module `mcp_transport` under the name that it has in the published package."""

from .mcp_transport import SkytaleTransport

__all__ = ["SkytaleTransport"]
