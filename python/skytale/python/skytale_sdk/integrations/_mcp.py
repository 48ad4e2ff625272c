"""The module `mcp` under the name that it has in the published package."""

from .mcp import create_server, main

__all__ = ["create_server", "main"]

if __name__ == "__main__":
    main()
