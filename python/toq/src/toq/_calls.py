"""Messaging requests as plain values.

A `Call` says what to send and how to read the answer; it does no I/O. Both clients build the same calls and
differ only in how they run them, so behaviour cannot drift apart between sync and async.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from os import PathLike
from os.path import abspath
from typing import Any, Callable, Generic, Literal, TypeVar, Union
from urllib.parse import quote
from uuid import uuid4

import httpx

from ._errors import ToqError, UnexpectedAnswer

T = TypeVar("T")
Json = dict[str, Any]
Wait = Union[bool, Literal["reply"]]

REQUEST_TIMEOUT = 60.0
"""Seconds without a byte after which a request is given up; four of the daemon's stream keep-alives."""

_GRACE = 10.0
"""Seconds the daemon gets beyond the delivery timeout, so that its own, more precise error wins."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and the function that turns its answer into the method's result."""

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: dict[str, str] = field(default_factory=dict)
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)
    read_timeout: float = REQUEST_TIMEOUT
    is_repeatable: bool = False
    """Whether sending it twice does the same as once; such a call survives one broken connection."""


def _warn_of_unreadable(answer: Json) -> None:
    places = answer.get("unreadable")
    if places:
        text = f"{len(places)} message(s) of the daemon's log cannot be read and are missing here (at {places})"
        warnings.warn(text, RuntimeWarning, stacklevel=2)


@dataclass(frozen=True)
class Page:
    """A piece of the history, and where the next older one starts."""

    messages: list[Json]
    next_cursor: str | None

    @staticmethod
    def parse(response: httpx.Response) -> Page:
        answer = whole(response)
        _warn_of_unreadable(answer)
        return Page(listed("messages")(response), answer.get("next_cursor"))


def send(
    to: str | list[str],
    text: str,
    thread_id: str | None,
    reply_to: str | None,
    close_thread: bool,
    wait: Wait,
    timeout: float,
    idempotency_key: str | None,
) -> Call[Json]:
    if isinstance(wait, str) and wait != "reply":
        raise ToqError(f'wait must be True, False or "reply", not {wait!r}')
    if idempotency_key and not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise ToqError("an idempotency key is printable ASCII")
    body: Json = {"to": to, "body": {"text": text}}
    body.update(given(thread_id=thread_id, reply_to=reply_to, close_thread=close_thread))
    waiting = wait if isinstance(wait, str) else truth(wait)
    return Call(
        "POST",
        "/v1/messages",
        whole,
        params={"wait": waiting, "timeout": str(math.ceil(timeout))},
        body=body,
        headers={"Idempotency-Key": idempotency_key or str(uuid4())},
        read_timeout=max(REQUEST_TIMEOUT, timeout + _GRACE),
        is_repeatable=True,
    )


def send_file(
    to: str, path: str | PathLike[str], name: str | None, thread_id: str | None, wait: bool, timeout: float
) -> Call[Json]:
    body: Json = {"to": to, "path": str(abspath(path))}
    body.update(given(name=name, thread_id=thread_id))
    return Call(
        "POST",
        "/v1/files",
        whole,
        params={"wait": truth(wait), "timeout": str(math.ceil(timeout))},
        body=body,
        read_timeout=max(REQUEST_TIMEOUT, timeout + _GRACE),
    )


def files() -> Call[list[Json]]:
    return get("/v1/files", listed("files"))


def message(message_id: str) -> Call[Json]:
    return get(f"/v1/messages/{segment(message_id)}", whole)


def history(limit: int, from_addr: str | None, since: str | None, outgoing: bool, cursor: str | None) -> Call[Page]:
    filters = given(**{"from": from_addr}, since=since, cursor=cursor)
    if outgoing:
        filters["outgoing"] = "true"
    return get("/v1/messages/history", Page.parse, limit=str(limit), **filters)


def threads() -> Call[list[Json]]:
    return get("/v1/threads", listed("threads"))


def get_thread(thread_id: str) -> Call[Json]:
    def parse(response: httpx.Response) -> Json:
        answer = whole(response)
        _warn_of_unreadable(answer)
        return answer

    return get(f"/v1/threads/{segment(thread_id)}", parse)


def stream_start(to: str, thread_id: str | None) -> Call[Json]:
    return post("/v1/stream/start", whole, {"to": to, **given(thread_id=thread_id)})


def stream_chunk(stream_id: str, text: str) -> Call[Json]:
    return post("/v1/stream/chunk", whole, {"stream_id": stream_id, "text": text})


def stream_end(stream_id: str, text: str | None, close_thread: bool) -> Call[Json]:
    return post("/v1/stream/end", whole, {"stream_id": stream_id, **given(text=text, close_thread=close_thread)})


def consumers() -> Call[list[Json]]:
    return get("/v1/consumers", listed("consumers"))


def consumer(name: str) -> Call[Json]:
    return get(f"/v1/consumers/{segment(name)}", whole)


def remove_consumer(name: str) -> Call[None]:
    return Call("DELETE", f"/v1/consumers/{segment(name)}", nothing)


def confirm(name: str, ids: list[str] | None, seqs: list[int] | None, up_to: int | None) -> Call[Json]:
    if isinstance(ids, str):
        raise ToqError("ids must be a list of message ids, not one string")
    asked: Json = {"ids": ids, "seqs": seqs, "up_to": up_to}
    body: Json = {field: value for field, value in asked.items() if value is not None}
    if len(body) != 1:
        raise ToqError("confirm needs either ids, seqs or up_to")
    path = f"/v1/consumers/{segment(name)}/confirm"
    return Call("POST", path, whole, body=body, is_repeatable=True)


def get(path: str, parse: Callable[[httpx.Response], T], **params: str) -> Call[T]:
    """Returns a GET, which may always be repeated."""
    return Call("GET", path, parse, params=params, is_repeatable=True)


def post(path: str, parse: Callable[[httpx.Response], T], body: Json | None = None) -> Call[T]:
    """Returns a POST, which is sent once."""
    return Call("POST", path, parse, body=body)


def given(**fields: Any) -> Json:
    """Returns the fields that were set; the daemon's defaults stand for the others."""
    return {name: value for name, value in fields.items() if value not in ("", None) and value is not False}


def truth(value: bool) -> str:
    return "true" if value else "false"


def segment(text: str) -> str:
    """Returns text as exactly one path segment: `a/../b` must not reach another route."""
    if text in ("", ".", ".."):
        raise ToqError(f"not an id: {text!r}")
    return quote(text, safe="")


def nothing(_: httpx.Response) -> None:
    return None


def plain(response: httpx.Response) -> str:
    return response.text


def whole(response: httpx.Response) -> Json:
    answer = _json(response)
    if not isinstance(answer, dict):
        raise UnexpectedAnswer(f"{response.request.url.path} did not answer with an object")
    return answer


def keyed(key: str) -> Callable[[httpx.Response], Any]:
    """Returns a parser that takes one field out of the answer."""

    def parse(response: httpx.Response) -> Any:
        answer = whole(response)
        if key not in answer:
            raise UnexpectedAnswer(f"the answer of {response.request.url.path} has no {key!r}")
        return answer[key]

    return parse


def listed(key: str) -> Callable[[httpx.Response], list[Json]]:
    """Returns a parser for a list that is wrapped in an object."""

    def parse(response: httpx.Response) -> list[Json]:
        items = keyed(key)(response)
        if not isinstance(items, list):
            raise UnexpectedAnswer(f"{key!r} in the answer of {response.request.url.path} is not a list")
        return items

    return parse


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise UnexpectedAnswer(f"the answer of {response.request.url.path} is not JSON") from error
