"""Arguments under the names that the published package has for them, where its documents have others."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

_Call = TypeVar("_Call", bound=Callable[..., Any])


def also(**published: str) -> Callable[[_Call], _Call]:
    """Lets a function be called with other keywords too: `also(theirs="ours")`."""

    def decorate(function: _Call) -> _Call:
        @functools.wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            for theirs, ours in published.items():
                # Who gives both gets the TypeError of an argument that there is not.
                if theirs in named and ours not in named:
                    named[ours] = named.pop(theirs)
            return function(*arguments, **named)

        return cast(_Call, called)

    return decorate
