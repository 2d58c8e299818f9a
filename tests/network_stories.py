"""What happens in a network of its own: links that are cut, a resolver of our own, interfaces that change. Each story
is run by tests/app/test_own_network.py in a process inside `unshare --net --mount`, and ends with an error or well.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import app.address_book
from sync.core.model import State
from tests.dns_stand import DnsStand, dns_stand, until
from tests.servers_bind import bind_server
from tests.servers_rsync import Daemon, rsyncd

CLONE_NEWNET = 0x40000000
NODES = {"a": "10.77.0.41", "b": "10.77.0.42", "c": "10.77.0.43"}
CANARY = "10.77.0.99"
BOTH = (
    "{name: www, provider: p, zone: example.test, record: www, ttl: 5, types: [A, AAAA], allow_private: true, "
    "lines: {default: {nodes: all}}}"
)


def ip(*words: str, inside: int | None = None) -> None:
    """`ip …`, here or in the network of that process."""
    enter = [] if inside is None else ["nsenter", "-t", str(inside), "-n"]
    subprocess.run([*enter, "ip", *words], check=True, timeout=20)


@contextmanager
def far_side(*addresses: str) -> Iterator[int]:
    """Another network behind a cable, link0 on this side; the process that holds it."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        here = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != here, "the far network")
        ip("link", "add", "link0", "type", "veth", "peer", "name", "link1", "netns", str(holder.pid))
        ip("addr", "add", "10.77.0.1/24", "dev", "link0")
        ip("link", "set", "link0", "up")
        ip("link", "set", "lo", "up", inside=holder.pid)
        ip("link", "set", "link1", "up", inside=holder.pid)
        for address in ("10.77.0.2", *addresses):  # the first takes all others with it when it is deleted
            ip("addr", "add", f"{address}/24", "dev", "link1", inside=holder.pid)
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def enter(pid: int) -> None:
    """Moves this thread, and what it starts, into the network of a process."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


@contextmanager
def distant_stand(folder: Path, canaries: str = "[]") -> Iterator[tuple[DnsStand, int]]:
    """A stand whose nodes are behind the cable."""
    with ExitStack() as stack:
        pid = stack.enter_context(far_side(*NODES.values(), CANARY))
        pool = stack.enter_context(ThreadPoolExecutor(1, initializer=enter, initargs=(pid,)))
        daemons: dict[str, Daemon] = {}
        for name, host in NODES.items():
            daemons[name] = pool.submit(rsyncd, folder / f"node-{name}", host=host).result(60)
            stack.callback(daemons[name].stop)
        stand = DnsStand(folder, daemons, nodes=dict.fromkeys(NODES, ""), options={"canaries": canaries})
        stand.root.mkdir()
        (stand.root / "index.html").write_text("<h1>hello</h1>\n")
        stack.callback(stand.stop)
        stand.start()
        stand.await_published(*NODES)
        yield stand, pid


def states(stand: DnsStand) -> set[State]:
    return {node.state for node in stand.supervisor.engine.field.nodes.values()}


def a_cut_cable_changes_nothing(folder: Path) -> None:
    """Without a canary: the cable is cut, nobody answers; nothing is withdrawn, and it thaws by itself."""
    with distant_stand(folder) as (stand, pid):
        before = len(stand.history())
        ip("link", "set", "link0", "down")
        until(lambda: states(stand) == {State.DEAD}, "every node looks dead", 60)
        until(stand.frozen, "that it is cut off is known", 30)
        assert stand.zone_values() == sorted(NODES.values())
        ip("link", "set", "link0", "up")
        until(lambda: stand.frozen() is None, "thawed", 60)
        until(lambda: states(stand) == {State.READY}, "all are back", 60)
        assert stand.zone_values() == sorted(NODES.values())
        assert len(stand.history()) == before, stand.history()[: len(stand.history()) - before]
        until(lambda: stand.plan() == {"operations": [], "held": None}, "and nothing is to be done")
        one_node_s_own_fault_counts(stand, pid)


def one_node_s_own_fault_counts(stand: DnsStand, pid: int) -> None:
    ip("addr", "del", f"{NODES['c']}/24", "dev", "link1", inside=pid)
    until(lambda: stand.zone_values() == [NODES["a"], NODES["b"]], "c alone is gone, the others answer", 60)
    assert stand.frozen() is None


def a_canary_tells_dead_nodes_from_a_cut_cable(folder: Path) -> None:
    """With one: all nodes may die while it answers; while it does not, nothing changes."""
    with distant_stand(folder, f"[{CANARY}]") as (stand, pid):
        ip("link", "set", "link0", "down")
        until(lambda: states(stand) == {State.DEAD}, "every node looks dead", 60)
        until(stand.frozen, "that it is cut off is known", 30)
        time.sleep(2)
        assert stand.zone_values() == sorted(NODES.values())
        for address in NODES.values():
            ip("addr", "del", f"{address}/24", "dev", "link1", inside=pid)
        ip("link", "set", "link0", "up")
        until(lambda: stand.zone_values() == [], "the canary answers, the nodes do not", 60)
        assert stand.frozen() is None


def a_host_name_of_a_real_name_server_is_followed(folder: Path) -> None:
    """The system's resolver asks a BIND on port 53 of this network; a router keeps its dynamic name up to date."""
    with bind_server(folder / "bind", ["lines.test"], port=53) as bind:
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        subprocess.run(["mount", "--bind", str(folder / "resolv.conf"), "/etc/resolv.conf"], check=True)
        app.address_book.ASK_SECONDS["hostname"] = 0.3

        def says(kind: str, *values: str) -> None:
            added = [f"update add sh.lines.test. 5 {kind} {value}" for value in values]
            bind.update("lines.test", "default", f"update delete sh.lines.test. {kind}", *added)

        says("A", "10.9.0.1", "10.9.0.2")
        with dns_stand(folder / "stand", "ab", services=[BOTH]) as stand:
            stand.nodes["a"] = ", addresses: [{hostname: sh.lines.test}]"
            b = stand.address("b")
            stand.start()
            until(lambda: stand.zone_values() == ["10.9.0.1", "10.9.0.2", b], "all its addresses", 40)
            says("A", "10.9.0.3")
            says("AAAA", "fd00::9")
            until(lambda: stand.zone_values() == ["10.9.0.3", b, "fd00::9"], "the changed ones, and IPv6", 40)
            bind.stop()
            until(lambda: stand.events("address") or stand.events("sh.lines.test"), "trouble is told", 40)
            assert stand.zone_values() == ["10.9.0.3", b, "fd00::9"], "the last answer is kept"


def an_interface_s_addresses_are_followed(folder: Path) -> None:
    ip("link", "add", "wan0", "type", "veth", "peer", "name", "wan1")
    ip("link", "set", "wan0", "up")
    ip("link", "set", "wan1", "up")
    ip("addr", "add", "10.9.1.1/24", "dev", "wan0")
    ip("addr", "add", "fd00:1::1/64", "dev", "wan0", "nodad")
    app.address_book.ASK_SECONDS["interface"] = 0.3
    with dns_stand(folder, "ab", services=[BOTH]) as stand:
        stand.nodes["a"] = (
            ", addresses: [{interface: wan0, family: 4}, {interface: wan0, family: 6, match: '^fd00:'}]"
        )
        b = stand.address("b")
        stand.start()
        until(lambda: stand.zone_values() == ["10.9.1.1", b, "fd00:1::1"], "both families", 40)
        ip("addr", "del", "10.9.1.1/24", "dev", "wan0")
        ip("addr", "add", "10.9.1.2/24", "dev", "wan0")
        until(lambda: stand.zone_values() == ["10.9.1.2", b, "fd00:1::1"], "the new lease is followed", 40)


STORIES: dict[str, Callable[[Path], None]] = {
    story.__name__: story
    for story in (
        a_cut_cable_changes_nothing,
        a_canary_tells_dead_nodes_from_a_cut_cable,
        a_host_name_of_a_real_name_server_is_followed,
        an_interface_s_addresses_are_followed,
    )
}


def run(name: str, folder: str) -> None:
    """One story; fails with an exception, and when it leaves a thread."""
    STORIES[name](Path(folder))
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    assert not left, left
