"""Real TCP listeners on loopback that say what they are told, slowly if asked, or nothing at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest


class Talker:
    """Accepts connections and says ``words`` to each, ``pause_seconds`` between bytes if not 0.

    ``hear``: wait for the client's first bytes before speaking; ``hang_up``: close after speaking, else
    keep the connection open until the test ends. What was heard is in ``heard``.
    """

    def __init__(
        self,
        words: bytes = b"",
        *,
        pause_seconds: float = 0.0,
        hear: bool = False,
        hang_up: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.host, self.port = host, int(self._listener.getsockname()[1])
        self.heard: list[bytes] = []
        self._words, self._pause, self._hear, self._hang_up = words, pause_seconds, hear, hang_up
        self._stop = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="talker")]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._talk, args=(connection,), name="talker-connection")
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._hear:
                self.heard.append(connection.recv(65536))
            step = 1 if self._pause else max(len(self._words), 1)
            for i in range(0, len(self._words), step):
                connection.sendall(self._words[i : i + step])
                if self._stop.wait(self._pause):
                    return
            if self._hang_up:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def stop(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads[1:]:
            thread.join()


@pytest.fixture
def talk() -> Iterator[Callable[..., Talker]]:
    """A factory of Talkers that end with the test."""
    talkers: list[Talker] = []

    def start(*args: object, **options: object) -> Talker:
        talkers.append(Talker(*args, **options))  # type: ignore[arg-type]
        return talkers[-1]

    yield start
    for talker in talkers:
        talker.stop()
