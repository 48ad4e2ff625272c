"""Reads what the daemons' stores hold, through the local API only."""

from checker import Row
from daemon import Daemon, Surprise

PAGE = 200


class Store:
    """Remembers how far a daemon's history was read, so that a check of a round reads only what is new."""

    def __init__(self, daemon: Daemon):
        self.daemon = daemon
        self._call = daemon.call()
        self._newest = {"in": -1, "out": -1}

    def state(self, message_id: str) -> str | None:
        """Returns the delivery state, or None when the daemon does not know the id."""
        status, answer = self._ask(f"/v1/messages/{message_id}")
        if status == 404:
            return None
        if status != 200:
            raise Surprise(f"GET /v1/messages/{message_id}: {status} {answer}")
        return answer["state"]

    def outbox(self) -> int:
        return self._ask("/v1/status")[1]["outbox"]

    def news(self) -> list[Row]:
        """Returns the incoming rows since the last call, oldest first."""
        return [row_of(entry) for entry in self._read(dict(self._newest)) if entry["direction"] == "in"]

    def everything(self) -> tuple[list[Row], dict[str, tuple[str, str]]]:
        """Returns all incoming rows, and id -> (token, state) of all outgoing ones."""
        entries = self._read({"in": -1, "out": -1})
        rows = [row_of(entry) for entry in entries if entry["direction"] == "in"]
        states = {e["id"]: (e["body"]["text"], e["state"]) for e in entries if e["direction"] == "out"}
        return rows, states

    def _read(self, after: dict[str, int]) -> list[dict]:
        """Pages backwards from the newest entry until the page reaches what was read before."""
        entries: list[dict] = []
        cursor = ""
        while True:
            status, page = self._ask(f"/v1/messages/history?outgoing=true&limit={PAGE}{cursor}")
            if status != 200:
                raise Surprise(f"GET /v1/messages/history: {status} {page}")
            fresh = [entry for entry in page["messages"] if entry["seq"] > after[entry["direction"]]]
            entries[:0] = fresh
            if len(fresh) < len(page["messages"]) or not page.get("next_cursor"):
                break
            cursor = f"&cursor={page['next_cursor']}"
        for entry in entries:
            self._newest[entry["direction"]] = max(self._newest[entry["direction"]], entry["seq"])
        return entries

    def _ask(self, path: str) -> tuple[int, dict]:
        """Asks a daemon that is known to be up; one failure may be the corpse of the connection to its former life."""
        try:
            return self._call("GET", path)
        except OSError:
            return self._call("GET", path)


def row_of(entry: dict) -> Row:
    return Row(entry["id"], entry["body"]["text"], entry["seq"])
