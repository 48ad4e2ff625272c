"""The clients' methods about peers, permissions, the daemon and handlers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, overload

from . import _admin_calls as _calls
from ._async_transport import AsyncTransport
from ._calls import Call
from ._transport import Transport

T = TypeVar("T")
if TYPE_CHECKING:
    from typing import Concatenate, ParamSpec

    P = ParamSpec("P")
else:
    # Python 3.9 has no ParamSpec, and at run time any variable will do.
    P = TypeVar("P")


class Method(Generic[P, T]):
    """A method of both clients, made of a function that makes a `Call`; each client's class writes it out."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self.call = call

    @overload
    def __get__(self, client: None, kind: type[Blocking]) -> Callable[Concatenate[Any, P], T]: ...
    @overload
    def __get__(
        self, client: None, kind: type[Awaiting]
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: Blocking, kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Awaiting, kind: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, client: Blocking | Awaiting | None, kind: type) -> Any:
        # What is behind `super()`: classes of clients have functions in this one's place.
        if client is None:
            return self
        form = _later if isinstance(client, Awaiting) else _now
        return form(self.call).__get__(client, kind)


class Blocking:
    """A client whose methods return answers."""

    _transport: Transport

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _write_out(cls, _now)


class Awaiting:
    """A client whose methods return something to await."""

    _transport: AsyncTransport

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _write_out(cls, _later)


def _write_out(kind: type, form: Callable[[Callable[..., Call[Any]]], Callable[..., Any]]) -> None:
    """Makes functions of a client's methods, so that its class is like any other to callers and tools."""
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        if not isinstance(method, Method):
            continue
        function = functools.wraps(method.call)(form(method.call))
        signature = inspect.signature(method.call)
        client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[client, *signature.parameters.values()]
        )
        function.__qualname__ = f"{kind.__qualname__}.{name}"
        setattr(kind, name, function)


def _now(call: Callable[..., Call[Any]]) -> Callable[..., Any]:
    def now(self: Blocking, /, *args: Any, **kwargs: Any) -> Any:
        return self._transport.run(call(*args, **kwargs))

    return now


def _later(call: Callable[..., Call[Any]]) -> Callable[..., Any]:
    async def later(self: Awaiting, /, *args: Any, **kwargs: Any) -> Any:
        return await self._transport.run(call(*args, **kwargs))

    return later


class Admin:
    """Mixed into both clients."""

    peers = Method(_calls.peers)
    block = Method(_calls.block)
    unblock = Method(_calls.unblock)
    approvals = Method(_calls.approvals)
    approve = Method(_calls.approve)
    deny = Method(_calls.deny)
    revoke = Method(_calls.revoke)
    permissions = Method(_calls.permissions)
    ping = Method(_calls.ping)
    discover = Method(_calls.discover)
    discover_local = Method(_calls.discover_local)
    connections = Method(_calls.connections)
    health = Method(_calls.health)
    status = Method(_calls.status)
    tree = Method(_calls.tree)
    shutdown = Method(_calls.shutdown)
    logs = Method(_calls.logs)
    clear_logs = Method(_calls.clear_logs)
    diagnostics = Method(_calls.diagnostics)
    check_upgrade = Method(_calls.check_upgrade)
    rotate_keys = Method(_calls.rotate_keys)
    export_backup = Method(_calls.export_backup)
    import_backup = Method(_calls.import_backup)
    config = Method(_calls.config)
    update_config = Method(_calls.update_config)
    card = Method(_calls.card)
    handlers = Method(_calls.handlers)
    add_handler = Method(_calls.add_handler)
    remove_handler = Method(_calls.remove_handler)
    update_handler = Method(_calls.update_handler)
    pause_handler = Method(_calls.pause_handler)
    resume_handler = Method(_calls.resume_handler)
    stop_handler = Method(_calls.stop_handler)
    handler = Method(_calls.handler)
    set_aside = Method(_calls.set_aside)
    retry_handler = Method(_calls.retry_handler)
    forget_conversations = Method(_calls.forget_conversations)
    audit = Method(_calls.audit)
    verify_audit = Method(_calls.verify_audit)
    delete_file = Method(_calls.delete_file)
