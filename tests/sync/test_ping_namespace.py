"""Pings in a network of their own, where the kernel is told to ignore them or to permit them to everybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

NOBODY = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
]

SERIES = """
import socket, threading
from sync.probes import Notices, ProbeSeries, ProbeSpec, ProbeTarget
server = socket.create_server(("127.0.0.1", 0))
ignore = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
specs = [ProbeSpec("ping", 0.2, 1), ProbeSpec("tcp", 5)]
series = ProbeSeries(specs, notices=Notices(lambda said: print("notice:", said)))
target = ProbeTarget("a", "127.0.0.1", port=server.getsockname()[1])
def show(n=1):
    for _ in range(n):
        seen = series.observe(target)
    print(seen.good, *(r.good for r in seen.results))
open(ignore, "w").write("1")
show(3)
open(ignore, "w").write("0")
show(12)
show()
open(ignore, "w").write("1")
show()
"""

UNPRIVILEGED = """
from sync.probes import ProbeSpec, ProbeTarget, make_probe
ping = make_probe(ProbeSpec("ping", 5, 1))
print(*(ping.probe(ProbeTarget("a", host)).good for host in ("127.0.0.1", "::1")))
"""


def in_a_network_of_its_own(prepare: str, code: str, *drop: str) -> str:
    """What the code prints; skips where such a network cannot be made."""
    if os.geteuid() != 0 or not all(shutil.which(p) for p in ("unshare", "ip", "setpriv")):
        pytest.skip("needs root, unshare, ip and setpriv")
    script = f'ip link set lo up && {prepare} && exec "$@"'
    check = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", "true"], capture_output=True, check=False
    )
    if check.returncode != 0:
        pytest.skip(f"no network namespace here: {check.stderr.decode(errors='replace').strip()}")
    command = ["unshare", "--net", "sh", "-c", script, "sh", *drop, sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if "Permission denied" in run.stderr:
        pytest.skip("the checkout cannot be read by nobody")
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_host_that_ignores_real_pings_is_filtered_until_it_answers_and_failed_after_that() -> None:
    printed = in_a_network_of_its_own("true", SERIES).splitlines()
    assert printed[0].startswith("notice: ping of a is filtered")
    assert printed[1:] == [
        "True None True",  # ignored from the start: absent
        "True True True",  # answered, when it was asked again
        "True True True",
        "False False None",  # ignored after it was answered
    ]


def test_where_the_kernel_permits_pings_to_everybody_ipv4_works_without_rights_and_ipv6_is_absent() -> None:
    permit = "echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range"
    assert in_a_network_of_its_own(permit, UNPRIVILEGED, *NOBODY) == "True None\n"
