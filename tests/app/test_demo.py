"""Runs the demo as `make run` does: three daemons with addresses of their own, pages made, everything ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers_lockstep import ROOT, Lockstep
from tests.servers_lockstep import lockstep as lockstep
from tests.servers_rsync import free_port, greeting


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_carries_a_page_to_three_nodes_and_ends_all_it_started(
    lockstep: Lockstep, number: int
) -> None:
    folder = lockstep.folder / "demo"
    folder.mkdir()
    for name in ("config.yml", "config.demo.yml"):
        (folder / name).write_text((ROOT / name).read_text())
    port = free_port()
    environ = {
        **lockstep.environment(),
        "LOCKSTEP_CONFIG": str(folder / "config.yml"),
        "LOCKSTEP__WEB__PORT": str(port),
    }
    with (folder / "log").open("wb") as log:
        demo = subprocess.Popen(
            [sys.executable, "-m", "flask", "demo"],
            cwd=ROOT,
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    nodes = [folder / "var" / "demo" / f"demo-{n}" / "content" for n in (1, 2, 3)]
    try:
        arrived(lockstep, nodes, "index.html", "It works")
        (folder / "publish" / "index.html").write_text("changed by hand")
        arrived(lockstep, nodes, "index.html", "changed by hand")
        said = (folder / "log").read_text()
        daemons = re.findall(r"rsync://([\d.]+):(\d+)/content", said)
        assert len(set(daemons)) == 3
        assert f"http://127.0.0.1:{port}/" in said
        zones = folder / "var" / "zones"
        lockstep.until(
            lambda: any(re.search(r"www\S*\s.*\bA\b", path.read_text()) for path in zones.glob("*")),
            "www stands in the zone file",
        )
    finally:
        os.kill(demo.pid, number)
        assert demo.wait(20) in (0, 130), (folder / "log").read_text()[-2000:]
    assert not [each for each in daemons if greeting(each[0], int(each[1]))]


def arrived(lockstep: Lockstep, nodes: list[Path], name: str, text: str) -> None:
    def holds() -> bool:
        return all((node / name).exists() and text in (node / name).read_text() for node in nodes)

    lockstep.until(holds, f"{text!r} on every node")
