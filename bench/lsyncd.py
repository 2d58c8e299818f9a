"""Runs lsyncd over the same folders, as its manual would have it for many targets with no delay: the rival."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

SYNC = """sync {{
  default.rsync, source = "{source}", target = "rsync://127.0.0.1:{port}/{module}/", delay = 0, delete = false,
  rsync = {{ archive = true, _extra = {{ "--sockopts=TCP_NODELAY" }} }}
}}
"""


def is_installed() -> bool:
    """Whether there is a rival."""
    return shutil.which("lsyncd") is not None


class Lsyncd:
    """One lsyncd with a sync per node; ``start`` returns when its first synchronisation is over."""

    def __init__(self, home: Path, source: Path, port: int, modules: Iterable[str], at_once: int) -> None:
        home.mkdir(parents=True)
        self._home = home
        self._modules = list(modules)
        settings = (
            f'settings {{ logfile = "{home}/lsyncd.log", nodaemon = true, insist = true, '
            f"maxProcesses = {at_once} }}\n"
        )
        syncs = (SYNC.format(source=source, port=port, module=module) for module in self._modules)
        (home / "lsyncd.lua").write_text(settings + "".join(syncs))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Lsyncd:
        """Raises TimeoutError."""
        with (self._home / "output.log").open("wb") as out:
            self._process = subprocess.Popen(
                ["lsyncd", "-nodaemon", str(self._home / "lsyncd.lua")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            log = self._home / "lsyncd.log"
            if log.exists() and log.read_text().count("Startup of ") >= len(self._modules):
                time.sleep(1.0)
                return self
            time.sleep(0.05)
        self.stop()
        raise TimeoutError(f"lsyncd did not finish its start; see {self._home}")

    def stop(self) -> None:
        """Ends it by its process id."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Lsyncd:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
