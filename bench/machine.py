"""Says on what the benchmarks ran: machine, versions, load. Measures nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from pathlib import Path


def facts() -> list[str]:
    """Lines for the report; what cannot be found out is left out."""
    return [
        f"processor: {_processor()}, {os.cpu_count()} cores",
        f"memory: {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        f"system: {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        *(line for line in (_version("rsync"), _version("lsyncd")) if line),
        f"load when it began: {os.getloadavg()[0]:.1f}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(program: str) -> str | None:
    if shutil.which(program) is None:
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    line = (said.stdout or said.stderr).splitlines()[0]
    return line if line.startswith(program) else f"{program} {line.removeprefix('Version: ')}"
