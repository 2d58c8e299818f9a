"""A real BIND on loopback with a view per line, told apart by the asker's address, and a small asker of
our own.

127.0.1.x asks on the telecom line, 127.0.2.x on unicom, 127.0.3.x on mobile, every other address on
default. Each line has its own TSIG key, which may update and transfer the zones of its own view and
nothing else.
"""

from __future__ import annotations

import random
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LINES = {"default": "127.0.0", "telecom": "127.0.1", "unicom": "127.0.2", "mobile": "127.0.3"}
TYPES = {"A": 1, "SOA": 6, "AAAA": 28}
START_SECONDS = 20.0


@dataclass
class Bind:
    """A running name server. `key_file(line)` may update `zones` in that line's view."""

    directory: Path
    port: int
    zones: tuple[str, ...]
    process: subprocess.Popen[bytes]
    address: str = "127.0.0.1"
    used: int = field(default=0)

    def key_file(self, line: str) -> Path:
        return self.directory / f"{line}.key"

    def fresh_zone(self) -> str:
        """A zone that no test has used yet."""
        self.used += 1
        return self.zones[self.used - 1]

    def ask(
        self, name: str, record_type: str = "A", line: str = "default", timeout: float = 2.0
    ) -> list[str]:
        """The addresses an asker on this line gets, sorted; raises TimeoutError when there is no answer."""
        return [value for value, _ in self.ask_with_ttl(name, record_type, line, timeout)]

    def ask_with_ttl(
        self, name: str, record_type: str = "A", line: str = "default", timeout: float = 2.0
    ) -> list[tuple[str, int]]:
        return ask((self.address, self.port), name, record_type, f"{LINES[line]}.5", timeout)

    def update(self, zone: str, line: str, *commands: str) -> None:
        """Somebody else's dynamic update."""
        text = f"server {self.address} {self.port}\nzone {zone}.\n" + "\n".join(commands) + "\nsend\n"
        subprocess.run(
            ["nsupdate", "-v", "-k", str(self.key_file(line))], input=text.encode(), check=True, timeout=10
        )

    def stop(self) -> None:
        """End the process; nothing listens afterwards."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


def ask(
    server: tuple[str, int], name: str, record_type: str, source: str, timeout: float = 2.0
) -> list[tuple[str, int]]:
    """(address, ttl) of an answer over UDP from this source address, sorted; other types are passed
    over.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((source, 0))
        udp.settimeout(timeout)
        udp.connect(server)
        number = random.randrange(65536)
        question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        udp.send(
            struct.pack(">6H", number, 0, 1, 0, 0, 0) + question + struct.pack(">2H", TYPES[record_type], 1)
        )
        while True:
            message = udp.recv(65535)
            if struct.unpack(">H", message[:2])[0] == number:
                return _addresses(message, TYPES[record_type])


def _addresses(message: bytes, wanted: int) -> list[tuple[str, int]]:
    _, flags, questions, answers, _, _ = struct.unpack(">6H", message[:12])
    if flags & 15 not in (0, 3):
        raise ConnectionError(f"the name server answered with code {flags & 15}")
    at = 12
    for _ in range(questions):
        at = _after_name(message, at) + 4
    found = []
    for _ in range(answers):
        at = _after_name(message, at)
        kind, _, ttl, length = struct.unpack(">2HIH", message[at : at + 10])
        data = message[at + 10 : at + 10 + length]
        at += 10 + length
        if kind == wanted and kind in (1, 28):
            found.append((socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data), ttl))
        elif kind == wanted:
            found.append(("", ttl))
    return sorted(found)


def _after_name(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] >= 192:
            return at + 2
        at += message[at] + 1
    return at + 1


def free_port() -> int:
    """A port of loopback that is free for UDP and TCP at this moment."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
    raise RuntimeError("no port of loopback is free for both UDP and TCP")


@contextmanager
def bind_server(
    directory: Path, zones: Sequence[str] = ("example.test",), port: int | None = None
) -> Iterator[Bind]:
    """A BIND that answers, ended on leaving. `directory` should be short-lived and empty, or from an
    earlier run.
    """
    named = shutil.which("named") or "/usr/sbin/named"
    directory.mkdir(parents=True, exist_ok=True)
    chosen = port or free_port()
    _write_configuration(directory, zones, chosen)
    log = (directory / "named.log").open("ab")
    process = subprocess.Popen(
        [named, "-c", str(directory / "named.conf"), "-f", "-n", "1"], stdout=log, stderr=log
    )
    log.close()
    bind = Bind(directory, chosen, tuple(zones), process)
    try:
        _await_answer(bind)
        yield bind
    finally:
        bind.stop()


def _await_answer(bind: Bind) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if bind.process.poll() is not None:
            break
        try:
            if bind.ask(bind.zones[-1], "SOA", timeout=0.2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"BIND did not start: {(bind.directory / 'named.log').read_text()[-2000:]}")


def _write_configuration(directory: Path, zones: Sequence[str], port: int) -> None:
    keys = []
    for line in LINES:
        path = directory / f"{line}.key"
        if not path.exists():
            made = subprocess.run(
                ["tsig-keygen", f"line-{line}"], capture_output=True, check=True, timeout=10
            )
            path.touch(0o600)
            path.write_bytes(made.stdout)
        keys.append(path.read_text())
    views = "".join(_view(directory, line, zones) for line in reversed(LINES))
    (directory / "named.conf").write_text(
        f"""options {{ directory "{directory}"; pid-file "{directory}/named.pid"; lock-file none;
  session-keyfile "{directory}/session.key"; managed-keys-directory "{directory}";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; allow-query {{ any; }};
  allow-transfer {{ none; }}; dnssec-validation no; empty-zones-enable no; notify no; minimal-responses yes;
  max-journal-size 1m; tcp-clients 200; }};
controls {{ }};
{"".join(keys)}{views}"""
    )


def _view(directory: Path, line: str, zones: Sequence[str]) -> str:
    others = "".join(f"!key line-{other}; " for other in LINES if other != line)
    clients = "any;" if line == "default" else f"key line-{line}; {LINES[line]}.0/24;"
    declared = []
    for zone in zones:
        file = directory / f"{zone}.{line}.db"
        if not file.exists():
            file.write_text(
                f"$ORIGIN {zone}.\n$TTL 60\n@ IN SOA ns.{zone}. root.{zone}. ( 1 3600 600 86400 1 )\n"
                f"@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n"
            )
        declared.append(
            f'zone "{zone}" {{ type primary; file "{file}"; allow-update {{ key line-{line}; }}; '
            f"allow-transfer {{ key line-{line}; }}; }};"
        )
    return f'view "{line}" {{ match-clients {{ {others}{clients} }};\n{chr(10).join(declared)}\n}};\n'
