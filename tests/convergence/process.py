"""Members and the relay as child processes that may die at any moment."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "crash"))
from daemon import Surprise, free_port  # noqa: E402

READY_DEADLINE = 30.0


class Relay:
    """Keeps its data and its ports over all its lives."""

    def __init__(self, binary: str, root: Path):
        self.binary, self.data, self.log = binary, root / "relay", root / "relay.log"
        self.ports = free_port(), free_port()
        self.process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def start(self) -> None:
        grpc, api = self.ports
        arguments = ["--data", str(self.data), "--grpc", f"127.0.0.1:{grpc}", "--api", f"127.0.0.1:{api}", "--anonymous"]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [self.binary, "relay", "up", "--foreground", *arguments],
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.data.parent)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def require_life(self) -> None:
        if self.process.poll() is not None:
            raise Surprise(f"the relay died by itself with {self.process.returncode}; see {self.log}")


class Life:
    """One process of a member, and what it was told and has not answered."""

    def __init__(self, number: int):
        self.number = number
        self.ready = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[int, queue.SimpleQueue] | None = {}

    def asked(self, number: int, answer: queue.SimpleQueue) -> None:
        with self._lock:
            if self._open is not None:
                self._open[number] = answer
                return
        answer.put(None)

    def answered(self, number: int, told: tuple[str, str]) -> None:
        with self._lock:
            answer = self._open.pop(number)
        answer.put(told)

    def ended(self) -> None:
        with self._lock:
            cut_off, self._open = self._open, None
        for answer in cut_off.values():
            answer.put(None)


class Member:
    """A member over all its lives. What its processes say is handed on line by line, with the number of the life."""

    def __init__(self, binary: str, root: Path, name: str, endpoint: str, weather: str, fault: str | None, tell):
        self.binary, self.name, self.endpoint, self.weather, self.fault, self.tell = binary, name, endpoint, weather, fault, tell
        self.dir, self.log = root / name, root / f"{name}.log"
        self.life = Life(0)
        self.process: subprocess.Popen | None = None
        self._reader: threading.Thread | None = None
        self._next = 0

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, arm: str | None = None) -> bool:
        """Starts the member; False when an armed point ended it before it was ready."""
        self.life = Life(self.life.number + 1)
        wanted = {"TOQ_MEMBER_CRASH": arm, "TOQ_MEMBER_FAULT": self.fault, "TOQ_MEMBER_WEATHER": f"{self.weather}:{self.life.number}"}
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [self.binary, self.endpoint, str(self.dir), self.name],
                env={"PATH": os.environ.get("PATH", ""), **{name: value for name, value in wanted.items() if value}},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._reader = threading.Thread(target=self._read, args=(self.process, self.life), daemon=True)
        self._reader.start()
        end = time.monotonic() + READY_DEADLINE
        while not self.life.ready.wait(0.02):
            if self.process.poll() is not None:
                self._reader.join()
                if arm:
                    return False
                raise Surprise(f"{self.name} exited with {self.process.returncode} instead of starting; see {self.log}")
            if time.monotonic() > end:
                raise Surprise(f"{self.name} was not ready {READY_DEADLINE} s after its start; see {self.log}")
        return True

    def ask(self, verb: str, argument: str = "") -> queue.SimpleQueue:
        """Tells the member to do something; the answer is ("ok" or "error", text), or None where it died."""
        self._next += 1
        answer: queue.SimpleQueue = queue.SimpleQueue()
        self.life.asked(self._next, answer)
        try:
            self.process.stdin.write(f"{self._next} {verb} {argument}".rstrip().encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            # It has died, which the reader tells.
            pass
        return answer

    def kill(self) -> None:
        """Ends the member; everything that it had said has been handed on when this returns."""
        self.process.send_signal(signal.SIGKILL)
        self.reap()

    def reap(self) -> int:
        self.process.wait()
        self._reader.join()
        try:
            self.process.stdin.close()
        except OSError:
            # What was still to be written has no reader any more.
            pass
        return self.process.returncode

    def _read(self, process: subprocess.Popen, life: Life) -> None:
        for line in process.stdout:
            match line.decode().rstrip("\n").split(" "):
                case ["ready"]:
                    life.ready.set()
                case ["done", number, end, *text]:
                    life.answered(int(number), (end, " ".join(text)))
                case words:
                    self.tell(self, life.number, words)
        life.ended()
