"""Commands beside a running service, as people type them: they ask it, and say what interface.md fixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers_lockstep import Lockstep
from tests.servers_lockstep import lockstep as lockstep
from tests.servers_lockstep import running as running

NODE = {
    "name",
    "title",
    "host",
    "state",
    "reason",
    "in_sync",
    "lag_changes",
    "published",
    "addresses",
    "drained",
}
ROW = {"name", "host", "state", "ok", "in_sync", "published", "files", "bytes", "deleted", "seconds", "error"}


def test_status_is_the_api_s_answer(running: Lockstep) -> None:
    status = running.json("status")
    assert {"version", "started_at", "head", "frozen", "publish", "nodes", "services"} <= status.keys()
    assert all(node.keys() >= NODE and node["state"] == "ready" for node in status["nodes"])


def test_the_status_for_people_is_a_row_per_node(running: Lockstep) -> None:
    done = running.run("status")
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines() if "ready" in line.split()} >= {"a", "b"}


def test_sync_once_asks_the_service_and_prints_a_row_per_node(running: Lockstep) -> None:
    answer = running.json("sync-once", "--no-dns")
    assert answer["ok"] is True
    assert [row["name"] for row in answer["nodes"]] == ["a", "b"]
    assert all(row.keys() == ROW and row["in_sync"] for row in answer["nodes"])
    assert answer["dns"].keys() == {"applied", "held"}


def test_a_dry_run_ends_with_0_where_nothing_differs_and_with_5_where_something_does(
    running: Lockstep,
) -> None:
    assert running.run("sync-once", "--dry-run").returncode == 0
    strange = running.daemons["a"].module_path / "strange.html"
    strange.write_text("not from us")
    done = running.run("sync-once", "--dry-run", "--node", "a")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "nothing was changed" in done.stdout
    strange.unlink()


def test_only_the_named_nodes_are_asked(running: Lockstep) -> None:
    assert [row["name"] for row in running.json("sync-once", "--no-dns", "--node", "b")["nodes"]] == ["b"]


def test_a_path_is_sent_by_itself(running: Lockstep) -> None:
    answer = running.json("sync-once", "--path", "index.html", "--no-dns")
    assert all(row["ok"] for row in answer["nodes"])
    assert running.run("sync-once", "--path", "not/there").returncode != 0


@pytest.mark.parametrize(
    "command",
    [
        ("nodes", "drain"),
        ("nodes", "undrain"),
        ("nodes", "check"),
        ("nodes", "resync"),
        ("nodes", "remove"),
        ("sync-once", "--node"),
    ],
)
def test_an_unknown_node_is_a_mistake_of_usage_that_names_the_nearest(
    running: Lockstep, command: tuple[str, ...]
) -> None:
    before = running.config.read_text()
    done = running.run(*command, "aa")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "'aa'" in done.stderr
    assert "did you mean 'a'?" in done.stderr
    assert running.config.read_text() == before


def test_a_drain_is_stored_and_goes_over_the_file(running: Lockstep) -> None:
    assert running.json("nodes", "drain", "b") == {"name": "b", "drained": True}
    assert [n["drained"] for n in running.json("nodes", "list")["nodes"]] == [False, True]
    assert running.run("config", "reload").returncode == 0
    assert [n["drained"] for n in running.json("nodes", "list")["nodes"]] == [False, True]
    assert running.json("nodes", "undrain", "b") == {"name": "b", "drained": False}


def test_nodes_check_probes_and_says_what_came(running: Lockstep) -> None:
    done = running.run("nodes", "check", "a")
    assert done.returncode == 0
    assert "rsync good" in done.stdout


def test_nodes_check_waits_for_the_answer_and_ends_with_1_when_a_node_is_not_well(lockstep: Lockstep) -> None:
    lockstep.start()
    lockstep.all_in_sync()
    lockstep.daemons["b"].stop()
    done = lockstep.run("nodes", "check")  # at once: what was seen before would say good
    assert done.returncode == 1
    assert "a: ready: rsync good" in done.stdout
    assert "rsync failed: connection refused" in done.stdout
    lockstep.until(lambda: lockstep.json("status")["nodes"][1]["state"] == "dead", "b is dead")
    done = lockstep.run("nodes", "resync")
    assert "resyncing a\n" in done.stdout
    assert "b is dead and is resynced as soon as it is well again" in done.stdout


def test_the_dustbin_is_empty_and_says_so(running: Lockstep) -> None:
    assert running.json("dustbin", "list") == {"entries": []}
    assert "took what it was sent" in running.run("dustbin", "list").stdout
    assert running.run("dustbin", "retry").returncode == 2
    assert running.run("dustbin", "retry", "nothing").returncode == 2
    assert running.json("dustbin", "retry", "--all") == {"retried": 0}


def test_events_tell_what_happened(running: Lockstep) -> None:
    done = running.run("events", "--node", "a")
    assert done.returncode == 0
    assert "ready" in done.stdout


def test_a_node_is_added_to_the_file_and_taken_up_by_the_service(running: Lockstep, tmp_path: Path) -> None:
    from tests.servers_rsync import rsyncd

    daemon = rsyncd(tmp_path / "node-c")
    before = running.config.read_text()
    try:
        answer = running.json(
            "nodes", "add", "c", "127.0.0.1", "--port", str(daemon.port), "--line", "telecom"
        )
        assert (answer["added"], answer["writable"], answer["service"]) == (True, True, "reloaded")
        assert answer["version"].startswith("protocol ")
        assert "# A comment that must survive every edit." in running.config.read_text()
        assert [node["name"] for node in running.all_in_sync()["nodes"]] == ["a", "b", "c"]
        assert (daemon.module_path / "index.html").exists()
        assert running.run("nodes", "add", "c", "127.0.0.1").returncode == 2
        assert running.json("nodes", "remove", "c")["service"] == "reloaded"
        assert [node["name"] for node in running.json("nodes", "list")["nodes"]] == ["a", "b"]
        assert running.config.read_text() == before
        assert (daemon.module_path / "index.html").exists()
    finally:
        daemon.stop()


def test_a_bad_file_leaves_the_old_configuration_running(running: Lockstep) -> None:
    before = running.config.read_text()
    running.config.write_text(before.replace("dustbin_seconds: 0.5", "dustbin_secnds: 0.5"))
    try:
        done = running.run("nodes", "list")
        assert done.returncode == 2  # commands read the file too
        running.process.send_signal(1)  # type: ignore[union-attr]  # SIGHUP
        running.until(lambda: "the old one runs on" in running.log, "the reload is refused")
        assert running.asked("status")["nodes"][0]["in_sync"]
    finally:
        running.config.write_text(before)
    assert running.run("config", "reload").returncode == 0


def test_sighup_takes_up_a_changed_file(running: Lockstep) -> None:
    before = running.config.read_text()
    running.config.write_text(before.replace('exclude: ["*.tmp"]', 'exclude: ["*.tmp", "*.draft"]'))
    try:
        (running.publish / "secret.draft").write_text("not yet")
        running.process.send_signal(1)  # type: ignore[union-attr]  # SIGHUP
        running.until(lambda: "configuration reloaded" in running.run("events").stdout, "the reload is told")
        (running.publish / "later.html").write_text("after the reload")
        running.until(
            lambda: (running.daemons["a"].module_path / "later.html").exists(), "later.html arrives"
        )
        (running.publish / "other.draft").write_text("not yet")
        (running.publish / "last.html").write_text("last")
        running.until(lambda: (running.daemons["a"].module_path / "last.html").exists(), "last.html arrives")
        assert not (running.daemons["a"].module_path / "other.draft").exists()
    finally:
        running.config.write_text(before)
        for name in ("secret.draft", "other.draft", "later.html", "last.html"):
            (running.publish / name).unlink(missing_ok=True)
        assert running.run("config", "reload").returncode == 0


def test_a_second_supervisor_ends_with_4_and_leaves_the_first_alone(running: Lockstep) -> None:
    second = running.spawn()
    assert second.wait(30) == 4
    assert running.asked("ping")["pid"] == running.process.pid  # type: ignore[union-attr]
    assert "is at work on this installation" in running.log
