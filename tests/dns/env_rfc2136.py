"""The RFC 2136 provider with a real BIND behind a proxy of ours, which loses answers or cuts them
when told to.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from dns.core.model import Record, RecordKey
from dns.providers import make_provider
from tests.dns.provider_envs import ProviderEnv
from tests.servers_bind import Bind, bind_server

USED = ("default", "telecom", "unicom")


@contextmanager
def server(directory: Path) -> Iterator[Bind]:
    """One BIND for all tests, with a zone for each."""
    with bind_server(directory, [f"zone{number}.test" for number in range(60)]) as bind:
        yield bind


class Proxy:
    """Passes TCP connections on to a server; `answer_bytes` bounds what comes back, None for everything."""

    def __init__(self, target: int) -> None:
        self.answer_bytes: int | None = None
        self._target = target
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._listen()

    def _listen(self) -> None:
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), name="proxy-accept")
        self._accepting.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._pass_on, args=(client,), name="proxy-connection")
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as upstream:
            upward = threading.Thread(target=_pump, args=(client, upstream, None), name="proxy-up")
            upward.start()
            _pump(upstream, client, self.answer_bytes)
            client.close()
            upward.join(5)

    def close(self) -> None:
        """Stop listening; connections end by themselves."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for thread in self._threads:
            thread.join(5)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody listens meanwhile."""
        self.close()
        yield
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    @contextmanager
    def answering(self, size: int) -> Iterator[None]:
        """Only the first bytes of each answer come back meanwhile."""
        self.answer_bytes = size
        yield
        self.answer_bytes = None


def _pump(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
    try:
        while data := source.recv(65536):
            if limit is not None:
                sink.sendall(data[:limit])
                sink.shutdown(socket.SHUT_RDWR)
                return
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def environment(directory: Path, bind: Bind) -> Iterator[ProviderEnv]:
    """A fresh zone of the shared BIND, and a provider that reaches it through a proxy."""
    zone = bind.fresh_zone()
    keys = {line: directory / f"{line}.key" for line in USED}
    for line, path in keys.items():
        shutil.copy(bind.key_file(line), path)
    proxy = Proxy(bind.port)
    settings = {
        "server": "127.0.0.1",
        "port": proxy.port,
        "timeout_seconds": 3,
        "lines": {line: {"key_file": str(path)} for line, path in keys.items()},
    }
    provider = make_provider("lan", "rfc2136", settings)

    def place(key: RecordKey, records: tuple[Record, ...]) -> None:
        additions = [f"update add {key.name}. {r.ttl} {key.type} {r.value}" for r in records]
        bind.update(zone, key.line, f"update delete {key.name}. {key.type}", *additions)

    secrets = tuple(re.findall(r'secret "([^"]+)"', "".join(p.read_text() for p in keys.values())))
    faults: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "unreachable": proxy.closed,
        "lost_answer": lambda: proxy.answering(0),
        "cut_listing": lambda: proxy.answering(150),
        "bad_credentials": lambda: _wrong_secret(list(keys.values())),
    }
    try:
        yield ProviderEnv(
            "rfc2136",
            provider,
            zone,
            lambda key: bind.ask_with_ttl(key.name, key.type, key.line),
            lines=USED,
            place=place,
            faults=faults,
            secrets=secrets,
        )
    finally:
        provider.close()
        proxy.close()


@contextmanager
def _wrong_secret(paths: list[Path]) -> Iterator[None]:
    good = {path: path.read_text() for path in paths}
    for path, text in good.items():
        path.write_text(re.sub(r'secret "..', lambda found: found.group()[:8] + "AA", text))
    yield
    for path, text in good.items():
        path.write_text(text)
