"""Starts real rsync daemons and a real sshd on free loopback ports; ends each by its pid, never by name."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START_SECONDS = 20.0
POLL_SECONDS = 0.005
USER, PASSWORD = "lockstep", "correct horse"


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free just now; somebody may take it before you do: be ready to ask again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.bind((host, 0))
        port: int = s.getsockname()[1]
        return port


def greeting(host: str, port: int, timeout: float = 0.5) -> bytes:
    """The first bytes a server says; empty when it refuses, closes or says nothing in time."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as s:
            return s.recv(64)
    except OSError:
        return b""


class _Server:
    """A child in a process group of its own, so that stopping it takes its connections' processes along."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def sigstop(self) -> None:
        """Hang: the kernel goes on accepting connections, nobody answers them."""
        self._signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End at once, running transfers included, as a power cut would; idempotent."""
        if self.process.returncode is None:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """End; idempotent. As ``kill``: an orderly end of rsyncd sleeps for 0.4 s and is no cleaner."""
        self.kill()


def _started(
    command: Sequence[str], host: str, port: int, hello: bytes, log: Path
) -> subprocess.Popen[bytes] | None:
    """The server once it greets; None when it ended before (its port was taken meanwhile)."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return None
        if greeting(host, port).startswith(hello) and process.poll() is None:
            return process
        time.sleep(POLL_SECONDS)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    raise RuntimeError(
        f"{command[0]} did not greet on {host}:{port}: {log.read_text(errors='replace')[-2000:]}"
    )


@dataclass
class Daemon(_Server):
    """A real rsyncd; ``start()`` after ``stop()`` or ``kill()`` brings it back on the same port."""

    folder: Path
    modules: Mapping[str, Path]
    host: str
    config: str
    rsync: str = "rsync"
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False, repr=False)

    @property
    def module_path(self) -> Path:
        """The folder of the first module."""
        return next(iter(self.modules.values()))

    @property
    def log(self) -> Path:
        return self.folder / "rsyncd.log"

    def start(self) -> Daemon:
        config = self.folder / "rsyncd.conf"
        config.write_text(self.config)
        for _ in range(10):
            port = self.port or free_port(self.host)
            address = [f"--address={self.host}", f"--port={port}"]
            command = [self.rsync, "--daemon", "--no-detach", f"--config={config}", *address]
            process = _started(command, self.host, port, b"@RSYNCD:", self.folder / "stderr.log")
            if process:
                self.process, self.port = process, port
                return self
        raise RuntimeError(f"rsyncd does not start: {self.log.read_text(errors='replace')[-2000:]}")

    def url(self, module: str | None = None) -> str:
        return f"rsync://{self.host}:{self.port}/{module or next(iter(self.modules))}/"


def _config(
    folder: Path,
    modules: Mapping[str, Path],
    *,
    password: str | None,
    read_only: bool,
    max_connections: int,
    uid: int,
    extra: str,
    module_extra: str,
) -> str:
    lines = [
        "use chroot = no",
        "munge symlinks = no",
        "reverse lookup = no",
        "socket options = TCP_NODELAY",
        "listen backlog = 128",
        f"log file = {folder / 'rsyncd.log'}",
        f"lock file = {folder / 'rsyncd.lock'}",
        extra,
    ]
    if os.getuid() == 0:
        lines += [f"uid = {uid}", f"gid = {uid}"]
    if password is not None:
        secrets = folder / "rsyncd.secrets"
        secrets.write_text(f"{USER}:{password}\n")
        secrets.chmod(0o600)
        lines += [f"auth users = {USER}", f"secrets file = {secrets}"]
    if max_connections:
        lines.append(f"max connections = {max_connections}")
    for name, path in modules.items():
        lines += [
            f"[{name}]",
            f"    path = {path}",
            f"    read only = {'yes' if read_only else 'no'}",
            module_extra,
        ]
    return "\n".join(lines) + "\n"


def rsyncd(
    tmp_path: Path,
    modules: Sequence[str] | Mapping[str, Path] = ("content",),
    *,
    password: str | None = None,
    read_only: bool = False,
    max_connections: int = 0,
    uid: int = 0,
    host: str = "127.0.0.1",
    extra: str = "",
    module_extra: str = "",
    port: int = 0,
    rsync: str = "rsync",
) -> Daemon:
    """A running daemon whose modules are folders below ``tmp_path`` (or the given ones), made when missing.

    With ``password`` the user is ``USER``; ``uid`` is who writes, where root starts the daemon.
    ``extra`` goes into the global section, ``module_extra`` into each
    module.
    The caller ends it with ``stop()``; the fixture ``daemons`` does so by itself.
    """
    paths = dict(modules) if isinstance(modules, Mapping) else {name: tmp_path / name for name in modules}
    number = 0
    while (folder := tmp_path / f"rsyncd-{number}").exists():
        number += 1
    folder.mkdir(parents=True)
    for path in paths.values():
        path.mkdir(parents=True, exist_ok=True)
    config = _config(
        folder,
        paths,
        password=password,
        read_only=read_only,
        max_connections=max_connections,
        uid=uid,
        extra=extra,
        module_extra=module_extra,
    )
    return Daemon(folder, paths, host, config, rsync, port).start()


@dataclass
class Sshd(_Server):
    """A real sshd that takes one key of one user (whoever runs the tests)."""

    folder: Path
    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    process: subprocess.Popen[bytes] = field(repr=False)


def _key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def sshd(tmp_path: Path, host: str = "127.0.0.1") -> Sshd:
    """A running sshd with fresh host and client keys; the caller ends it with ``stop()``."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here; install openssh-server to run the tests of the ssh transport")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = tmp_path / "sshd"
    folder.mkdir(parents=True)
    host_key, client_key = _key(folder / "host_key"), _key(folder / "client_key")
    authorized = folder / "authorized_keys"
    shutil.copy(client_key.with_suffix(".pub"), authorized)
    config = folder / "sshd_config"
    config.write_text(
        f"HostKey {host_key}\nAuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "UseDNS no\nLogLevel ERROR\nMaxStartups 100\n"
    )
    for _ in range(10):
        port = free_port(host)
        command = [program, "-D", "-e", "-f", str(config), "-o", f"ListenAddress={host}", "-p", str(port)]
        if process := _started(command, host, port, b"SSH-", folder / "sshd.log"):
            known_hosts = folder / "known_hosts"
            kind, blob = host_key.with_suffix(".pub").read_text().split()[:2]
            known_hosts.write_text(f"[{host}]:{port} {kind} {blob}\n")
            return Sshd(folder, host, port, getpass.getuser(), client_key, known_hosts, process)
    raise RuntimeError(f"sshd does not start: {(folder / 'sshd.log').read_text(errors='replace')[-2000:]}")


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """A factory like ``rsyncd(…)`` without its first argument, whose daemons end with the test."""
    started: list[Daemon] = []

    def start(*args: object, **options: object) -> Daemon:
        daemon = rsyncd(tmp_path / f"daemon-{len(started)}", *args, **options)  # type: ignore[arg-type]
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.stop()


@pytest.fixture
def daemon(daemons: Callable[..., Daemon]) -> Daemon:
    """One open daemon with the module ``content``, empty, for one test."""
    return daemons()


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One sshd for all tests that only connect to it; do not stop it."""
    server = sshd(tmp_path_factory.mktemp("ssh"))
    yield server
    server.stop()


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB that is easily filled."""
    with tmpfs(tmp_path / "small", "1m") as path:
        yield path


@contextlib.contextmanager
def tmpfs(path: Path, size: str) -> Iterator[Path]:
    """A small file system of its own, with few inodes; skips the test where none can be mounted."""
    if os.getuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root on Linux can mount a small file system to fill")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes=200", "lockstep-test", str(path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
