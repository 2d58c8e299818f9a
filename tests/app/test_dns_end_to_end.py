"""The promise from end to end: a real service, real rsync daemons, a real BIND with a view per line, and an
asker on each line who asks all the time and compares what it is sent to, byte for byte."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dns_stand import WWW, DnsStand, Visitor, bind_provider, dns_stand, until
from tests.servers_bind import Bind, bind_server
from tests.servers_rsync import small_tmpfs  # noqa: F401 - a fixture
from tests.trees import differences, tree


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """One BIND, with a zone for each test."""
    with bind_server(tmp_path_factory.mktemp("bind"), [f"zone{n}.test" for n in range(20)]) as running:
        yield running


@contextmanager
def followed(stand: DnsStand, bind: Bind, zone: str) -> Iterator[Visitor]:
    """An asker on every line; at the end no name was ever empty, nor a node seen that was not in step."""
    content = {d.host: d.module_path for d in stand.daemons.values()}
    with Visitor(bind, f"www.{zone}", ("default", "telecom", "unicom"), content, stand.root) as visitor:
        until(lambda: all(visitor.seen.values()), "every line has answered once")
        yield visitor
    assert not visitor.empty, f"{len(visitor.empty)} empty answers of {visitor.asked}"
    assert not visitor.wrong, visitor.wrong
    assert min(visitor.asked.values()) > 20


@pytest.fixture
def zone(bind: Bind) -> str:
    return bind.fresh_zone()


@pytest.fixture
def stand(tmp_path: Path, bind: Bind, zone: str) -> Iterator[DnsStand]:
    """Three nodes, all published."""
    with dns_stand(tmp_path, provider=bind_provider(bind), services=[WWW % zone]) as made:
        made.start()
        made.await_published("a", "b", "c")
        yield made


def spoil(folder: Path) -> None:
    """What a node might look like after a night without us."""
    (folder / "index.html").write_text("<h1>old</h1>\n")
    (folder / "asset.css").unlink()


def test_a_killed_node_s_line_answers_with_another_until_it_is_resynced(
    stand: DnsStand, bind: Bind, zone: str
) -> None:
    a, b, c = (stand.address(name) for name in "abc")
    with followed(stand, bind, zone) as visitor:
        visitor.answers("telecom", [a])
        stand.daemons["a"].kill()
        spoil(stand.daemons["a"].module_path)
        visitor.answers("default", [b, c])
        until(lambda: a not in visitor.seen["telecom"][-1][1], "a leaves its line")
        (stand.root / "news.html").write_text("written while a was away\n" * 1000)
        stand.daemons["a"].start()
        visitor.answers("telecom", [a])
        visitor.answers("default", [a, b, c])
    reasons = [row["reason"] for row in stand.history() if row["line"] == "telecom"]
    assert any("node a is in unhealth" in reason for reason in reasons)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a file system to make read-only")
def test_a_node_whose_disk_turns_read_only_leaves_and_returns(
    tmp_path: Path,
    bind: Bind,
    zone: str,
    small_tmpfs: Path,  # noqa: F811
) -> None:
    with dns_stand(tmp_path, "bc", provider=bind_provider(bind)) as made:
        from tests.servers_rsync import rsyncd

        sick = rsyncd(tmp_path / "node-a", {"content": small_tmpfs / "content"}, host="127.0.0.44")
        made.daemons["a"], made.nodes["a"] = sick, ""
        made.services = [WWW % zone]
        try:
            made.start()
            made.await_published("a", "b", "c")
            with followed(made, bind, zone) as visitor:
                subprocess.run(["mount", "-o", "remount,ro", str(small_tmpfs)], check=True)
                (made.root / "index.html").write_text("<h1>new</h1>\n")
                until(lambda: sick.host not in visitor.seen["telecom"][-1][1], "a leaves its line", 30)
                subprocess.run(["mount", "-o", "remount,rw", str(small_tmpfs)], check=True)
                visitor.answers("telecom", [sick.host], 40)
            assert not differences(tree(made.root), tree(sick.module_path))
        finally:
            made.stop()
            sick.stop()


def test_a_full_disk_takes_a_node_out_of_step_and_room_brings_it_back(
    tmp_path: Path,
    bind: Bind,
    zone: str,
    small_tmpfs: Path,  # noqa: F811
) -> None:
    from tests.servers_rsync import rsyncd

    with dns_stand(tmp_path, "bc", provider=bind_provider(bind), services=[WWW % zone]) as made:
        sick = rsyncd(tmp_path / "node-a", {"content": small_tmpfs / "content"}, host="127.0.0.45")
        made.daemons["a"], made.nodes["a"] = sick, ""
        try:
            made.start()
            made.await_published("a", "b", "c")
            with followed(made, bind, zone) as visitor:
                ballast = small_tmpfs / "ballast"
                ballast.write_bytes(b"x" * 900_000)
                (made.root / "large.bin").write_bytes(os.urandom(400_000))
                until(lambda: sick.host not in visitor.seen["telecom"][-1][1], "a leaves its line", 30)
                ballast.unlink()
                visitor.answers("telecom", [sick.host], 40)
            assert not differences(tree(made.root), tree(sick.module_path))
        finally:
            made.stop()
            sick.stop()


def test_records_are_changed_within_a_second_of_the_evidence(stand: DnsStand) -> None:
    told: dict[str, float] = {}
    gone = threading.Event()

    class Ears:
        def fitness(self, changed: object) -> None:
            if "a" in changed and changed["a"].fit is False:  # type: ignore[operator,index]
                told["at"] = stand.supervisor.engine.wall()
                gone.set()

        def event(self, event: object) -> None: ...
        def flip(self, flip: object) -> None: ...
        def batch(self, node: str, paths: object) -> None: ...

    stand.supervisor.engine.field.listeners.append(Ears())  # type: ignore[arg-type]
    stand.daemons["b"].sigstop()  # one that hangs must not use up the question's second when c answers
    stand.daemons["a"].kill()
    assert gone.wait(10)
    until(lambda: stand.address("a") not in stand.values("telecom"), "a is withdrawn")
    first = next(
        row
        for row in reversed(stand.history())
        if stand.address("a") in row["old_values"] and row["at"] >= told["at"]
    )
    stand.daemons["b"].sigcont()
    assert first["at"] - told["at"] < 1.0


def test_an_edit_at_the_provider_is_put_right_by_the_timer_with_an_event(
    tmp_path: Path, bind: Bind, zone: str
) -> None:
    with dns_stand(
        tmp_path, "ab", provider=bind_provider(bind), services=[WWW % zone], options={"every": 1}
    ) as made:
        made.start()
        made.await_published("a", "b")
        a = made.address("a")
        bind.update(zone, "telecom", f"update delete www.{zone}. A", f"update add www.{zone}. 5 A 127.9.9.9")
        until(lambda: bind.ask(f"www.{zone}", "A", "telecom") == [a], "the edit is put right")
        until(lambda: made.events("was changed at the provider"), "there is an event")
        bind.update(zone, "telecom", f"update delete www.{zone}. A")
        until(lambda: bind.ask(f"www.{zone}", "A", "telecom") == [a], "the deletion is put right")
        until(lambda: made.events("→ nothing"), "there is another event")
        assert len(made.events("was changed at the provider")) == 2


def test_a_foreign_record_holds_its_set_until_it_is_adopted(tmp_path: Path, bind: Bind, zone: str) -> None:
    bind.update(zone, "telecom", f"update add www.{zone}. 77 A 127.8.8.8")
    with dns_stand(tmp_path, "ab", provider=bind_provider(bind), services=[WWW % zone]) as made:
        made.start()
        made.await_published("a", "b")
        until(lambda: made.values("unicom"), "the other lines are written")
        assert bind.ask(f"www.{zone}", "A", "telecom") == ["127.8.8.8"]
        assert "not ours" in str(made.plan()["held"])
        until(lambda: made.events("not ours"), "there is an event")
        made.supervisor.operations.dns_apply(adopt=["www"])
        assert bind.ask(f"www.{zone}", "A", "telecom") == [made.address("a")]
        assert made.plan() == {"operations": [], "held": None}


def test_adopt_true_takes_over_once_and_not_again_after_a_restart(
    tmp_path: Path, bind: Bind, zone: str
) -> None:
    bind.update(zone, "telecom", f"update add www.{zone}. 77 A 127.8.8.8")
    services = [(WWW % zone)[:-1] + ", adopt: true}"]
    with dns_stand(tmp_path, "ab", provider=bind_provider(bind), services=services) as made:
        made.start()
        made.await_published("a", "b")
        until(lambda: bind.ask(f"www.{zone}", "A", "telecom") == [made.address("a")], "taken over")
        made.stop()
        bind.update(zone, "telecom", f"update add www.{zone}. 5 A 127.8.8.8")
        made.start()
        until(lambda: "not ours" in str(made.plan()["held"]), "held: once is once")
        assert "127.8.8.8" in bind.ask(f"www.{zone}", "A", "telecom")
