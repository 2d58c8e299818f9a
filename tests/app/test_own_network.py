"""Stories that need a network of their own: cut cables, a resolver, interfaces. Nothing of this machine's network is
touched; skipped where such a network cannot be made.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.network_stories import STORIES
from tests.servers_lockstep import ROOT

UNSHARE = ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


@pytest.fixture(scope="module")
def own_network() -> None:
    if not all(shutil.which(program) for program in ("unshare", "nsenter", "ip")):
        pytest.skip("needs unshare, nsenter and ip")
    veth = ["ip", "link", "add", "try0", "type", "veth", "peer", "name", "try1"]
    tried = subprocess.run([*UNSHARE, *veth], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network of one's own here: {tried.stderr.strip()}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("story", STORIES)
def test_in_a_network_of_its_own(own_network: None, story: str, tmp_path: Path) -> None:
    code = "import sys; from tests.network_stories import run; run(*sys.argv[1:])"
    command = [*UNSHARE, sys.executable, "-c", code, story, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=220)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-6000:]}"
