"""The control socket: how commands on this machine ask the running service, whatever its HTTP access.

A Unix socket in ``data_dir``, mode 0600. One JSON object a line: the request ``{"do": …, "with": {…}}``, then any
number of ``{"progress": …}`` and in the end one ``{"answer": …}`` or ``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app.operations import Refused

log = logging.getLogger(__name__)

SOCKET = "control.sock"
LONGEST_LINE = 1 << 20
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 3600.0

Say = Callable[[Any], None]
Action = Callable[[Mapping[str, Any], Say], Any]


class NotRunning(Exception):  # noqa: N818 - a state, not a fault
    """No service listens on the socket."""


@contextmanager
def _address(data_dir: Path) -> Iterator[str]:
    """The socket's address; one longer than a Unix address may be (108 bytes) goes by the folder's descriptor."""
    path = data_dir / SOCKET
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(data_dir, os.O_PATH | os.O_DIRECTORY) if hasattr(os, "O_PATH") else os.open(data_dir, 0)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


class _Handler(socketserver.StreamRequestHandler):
    server: ControlServer

    def handle(self) -> None:
        with suppress(ConnectionError):
            line = self.rfile.readline(LONGEST_LINE)
            if not line:
                return
            self._say(self._answer(line))

    def _answer(self, line: bytes) -> Any:
        try:
            request = json.loads(line)
            action = self.server.actions[request["do"]]
            arguments = request.get("with") or {}
        except (ValueError, KeyError, TypeError):
            return {
                "error": {"code": "bad_request", "message": "the running service does not know this request"}
            }
        try:
            return {"answer": action(arguments, lambda facts: self._say({"progress": facts}))}
        except Refused as refused:
            return {"error": {"code": refused.code, "message": str(refused)}}
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("a command over the control socket broke off")
            return {
                "error": {"code": "internal", "message": f"{type(error).__name__}; see the service's log"}
            }

    def _say(self, facts: Any) -> None:
        self.wfile.write(json.dumps(facts).encode() + b"\n")
        self.wfile.flush()


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """Serves the actions by name. ``start`` and ``stop`` once; the caller holds the installation's lock."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, data_dir: Path, actions: Mapping[str, Action]) -> None:
        self.actions = actions
        self._path = data_dir / SOCKET
        with suppress(FileNotFoundError):
            self._path.unlink()  # left by one that was killed: the lock says that it is gone
        old = os.umask(0o177)
        try:
            with _address(data_dir) as address:
                super().__init__(address, _Handler)
        finally:
            os.umask(old)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="control", daemon=True)

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Closes the socket and removes it."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(5)
        self.server_close()
        with suppress(FileNotFoundError):
            self._path.unlink()


def ask(
    data_dir: Path, do: str, arguments: Mapping[str, Any] | None = None, say: Say = lambda facts: None
) -> Any:
    """The running service's answer. Raises NotRunning, or Refused with what the service said.

    ``say`` is called with each progress message.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_SECONDS)
    with connection:
        try:
            with _address(data_dir) as address:
                connection.connect(address)
        except OSError as error:
            raise NotRunning(str(error)) from None
        connection.settimeout(ANSWER_SECONDS)
        connection.sendall(json.dumps({"do": do, "with": dict(arguments or {})}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "progress" in message:
                    say(message["progress"])
                elif "error" in message:
                    raise Refused(message["error"]["code"], message["error"]["message"])
                else:
                    return message["answer"]
    raise Refused("gone", "the service ended while it was asked; look at its log and try again")
