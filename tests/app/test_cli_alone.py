"""Commands and starts without a running service: exit statuses 0 to 5, and mistakes that must change nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import pytest

from app.lock import InstallationLock
from tests.servers_lockstep import Lockstep, write_config
from tests.servers_lockstep import lockstep as lockstep

# ── sync-once and its exit statuses ──────────────────────────────────────────────────────────────────────


def test_sync_once_alone_brings_every_node_in_line_and_ends_with_0(lockstep: Lockstep) -> None:
    answer = lockstep.json("sync-once", "--no-dns")
    assert [row["in_sync"] for row in answer["nodes"]] == [True, True]
    for daemon in lockstep.daemons.values():
        assert (daemon.module_path / "index.html").read_text() == "<h1>hello</h1>\n"


def test_it_ends_with_1_when_some_nodes_failed_and_with_3_when_none_is_in_sync(lockstep: Lockstep) -> None:
    lockstep.daemons["b"].stop()
    answer = lockstep.json("sync-once", "--no-dns", status=1)
    assert {row["name"]: row["ok"] for row in answer["nodes"]} == {"a": True, "b": False}
    assert "connection refused" in answer["nodes"][1]["error"]
    lockstep.daemons["a"].stop()
    assert lockstep.json("sync-once", "--no-dns", status=3)["ok"] is False


def test_a_dry_run_alone_ends_with_5_and_changes_nothing(lockstep: Lockstep) -> None:
    assert lockstep.run("sync-once", "--dry-run").returncode == 5
    assert not list(lockstep.daemons["a"].module_path.iterdir())


def test_nobody_to_sync_to_is_no_failure(lockstep: Lockstep) -> None:
    lockstep.daemons.clear()
    write_config(lockstep)
    done = lockstep.run("sync-once", "--no-dns")
    assert (done.returncode, "there are no nodes" in done.stdout) == (0, True)


def test_a_held_lock_that_nobody_answers_for_ends_with_4(lockstep: Lockstep) -> None:
    with InstallationLock(lockstep.folder / "var").held("service"):
        done = lockstep.run("sync-once", "--no-dns")
    assert done.returncode == 4
    assert f"pid {os.getpid()}" in done.stderr


def test_what_only_a_running_service_can_do_says_so(lockstep: Lockstep) -> None:
    done = lockstep.run("config", "reload")
    assert done.returncode != 0
    assert "no service is running here" in done.stderr


def test_a_dry_run_says_of_each_node_what_was_found(lockstep: Lockstep) -> None:
    """A node that could not be compared is no node without differences, and a clean one is in sync."""
    lockstep.run("sync-once", "--no-dns", "--node", "a")
    (lockstep.daemons["a"].module_path / "stranger").write_text("not ours")
    lockstep.daemons["b"].stop()
    done = lockstep.run("sync-once", "--dry-run")
    assert done.returncode == 1
    row = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert "differs" in row["a"]
    assert "not compared" in row["b"]
    assert "connection refused" in row["b"]
    assert "1 path differs in all, 1 of 2 nodes could not be compared; nothing was changed" in done.stdout
    (lockstep.daemons["a"].module_path / "stranger").unlink()
    done = lockstep.run("sync-once", "--dry-run", "--node", "a")
    assert (done.returncode, "as the source" in done.stdout) == (0, True)
    answer = lockstep.json("sync-once", "--dry-run", status=1)
    assert [(n["name"], n["in_sync"], n["differences"]) for n in answer["nodes"]] == [
        ("a", True, 0),
        ("b", False, None),
    ]


def test_looking_leaves_no_starts_and_stops_in_the_timeline(lockstep: Lockstep) -> None:
    lockstep.run("sync-once", "--no-dns")
    before = lockstep.json("events")["events"]
    for command in (("status",), ("sync-once", "--dry-run"), ("nodes", "check"), ("nodes", "list")):
        assert lockstep.run(*command).returncode == 0
    assert lockstep.json("events")["events"] == before


def test_a_node_that_nobody_has_asked_is_unproven_and_says_so(lockstep: Lockstep) -> None:
    lockstep.run("sync-once", "--no-dns")
    done = lockstep.run("status")
    line = next(line for line in done.stdout.splitlines() if line.startswith("a "))
    assert "unproven" in line
    assert "was not asked" in line
    assert "nothing was probed" in done.stderr


def test_a_node_that_alters_links_says_so_though_it_is_in_sync(lockstep: Lockstep) -> None:
    (lockstep.publish / "link").symlink_to("/etc/hostname")  # its daemon, without a chroot, cuts the slash
    lockstep.start()
    lockstep.all_in_sync()
    lockstep.stop()
    with sqlite3.connect(lockstep.folder / "var/lockstep.db") as base:
        base.execute("UPDATE node SET proof_at = 0")  # the next start begins with an audit
    lockstep.start()
    lockstep.all_in_sync()
    done = lockstep.run("status")
    assert done.stdout.count("munge symlinks = no") == 2, done.stdout


def test_nodes_are_checked_and_resynced_without_a_service(lockstep: Lockstep) -> None:
    lockstep.daemons["b"].stop()
    done = lockstep.run("nodes", "check")
    assert done.returncode == 1
    assert "a: recovery: rsync good" in done.stdout
    assert "rsync failed: connection refused" in done.stdout
    assert lockstep.run("nodes", "check", "a").returncode == 0
    assert lockstep.run("nodes", "check", "nope").returncode == 2
    answer = lockstep.json("nodes", "resync", "a")
    assert answer["resyncing"] == ["a"]
    assert (lockstep.daemons["a"].module_path / "index.html").exists()
    assert lockstep.run("nodes", "resync").returncode == 1
    assert lockstep.run("nodes", "resync", "nope").returncode == 2


def test_the_dustbin_is_emptied_by_hand_without_a_service(lockstep: Lockstep) -> None:
    (lockstep.publish / "poison").write_text("a file")
    block = lockstep.daemons["a"].module_path / "poison"
    block.mkdir()
    if subprocess.run(["chattr", "+i", str(block)], capture_output=True, check=False).returncode:
        pytest.skip("no immutable files here")
    try:
        lockstep.run("sync-once", "--no-dns")
        (entry,) = lockstep.json("dustbin", "list")["entries"]
        assert (entry["path"], entry["discarded"]) == ("poison", False)
        assert lockstep.json("dustbin", "discard", entry["id"]) == {"discarded": 1}
        assert lockstep.json("dustbin", "list")["entries"][0]["discarded"]
        assert lockstep.json("dustbin", "retry", "--all") == {"retried": 1}
        assert not lockstep.json("dustbin", "list")["entries"][0]["discarded"]
        assert lockstep.run("dustbin", "retry", "nope").returncode == 2
    finally:
        subprocess.run(["chattr", "-i", str(block)], check=True)


@pytest.mark.parametrize(
    "command",
    [
        ("events", "--node"),
        ("dustbin", "list", "--node"),
        ("token", "add", "t", "--scope", "report", "--node"),
    ],
)
def test_an_unknown_node_is_named_with_the_nearest_also_without_a_service(
    lockstep: Lockstep, command: tuple[str, ...]
) -> None:
    done = lockstep.run(*command, "bb")
    assert (done.returncode, "did you mean 'b'?" in done.stderr) == (2, True), done.stderr
    assert lockstep.run(*command, "b").returncode == 0


def test_a_drain_without_a_service_is_stored(lockstep: Lockstep) -> None:
    assert lockstep.run("nodes", "drain", "b").returncode == 0
    lockstep.start()
    assert [n["drained"] for n in lockstep.all_in_sync()["nodes"]] == [False, True]
    assert lockstep.run("nodes", "undrain", "c").returncode == 2


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_every_mistake_is_named_with_file_line_and_column(lockstep: Lockstep) -> None:
    lockstep.config.write_text(
        "sync:\n  max_proceses: 4\n  port: many\nnodes:\n  - {name: -x, host: 192.0.2.1}\nnonsense: 1\n"
    )
    done = lockstep.run("check-config")
    assert done.returncode == 2
    for place, said in (
        (":2:3:", "max_processes"),
        (":3:9:", "sync.port"),
        (":5:", "'-'"),
        (":6:1:", "nonsense"),
    ):
        assert any(place in line and said in line for line in done.stderr.splitlines()), (
            place,
            said,
            done.stderr,
        )
    document = lockstep.json("check-config", status=2)
    assert {(p["line"], p["key"]) for p in document["problems"]} >= {
        (2, "sync.max_proceses"),
        (3, "sync.port"),
    }


@pytest.mark.parametrize(
    "command", [("status",), ("sync-once",), ("nodes", "list"), ("services", "list"), ("serve",)]
)
def test_no_command_works_with_a_configuration_that_has_mistakes(
    lockstep: Lockstep, command: tuple[str, ...]
) -> None:
    lockstep.config.write_text(lockstep.config.read_text().replace("sync:", "synk:"))
    done = lockstep.run(*command)
    assert (done.returncode, "did you mean 'sync'?" in done.stderr) == (2, True)
    assert not (lockstep.folder / "var").exists()


def test_a_publish_root_that_is_not_there_ends_the_start_with_2(lockstep: Lockstep) -> None:
    (lockstep.publish / "index.html").unlink()
    lockstep.publish.rmdir()
    assert lockstep.spawn().wait(30) == 2
    assert "publish.root" in lockstep.log
    assert lockstep.run("sync-once", "--no-dns").returncode == 2
    (problem,) = lockstep.json("check-config", status=2)["problems"]
    line = lockstep.config.read_text().splitlines().index("  root: publish                     # watched") + 1
    assert (problem["line"], problem["column"], problem["key"]) == (line, 9, "publish.root")
    assert "is not there" in problem["message"]


def test_a_publish_root_that_was_there_once_is_a_fault_to_sit_out_and_no_mistake(lockstep: Lockstep) -> None:
    lockstep.start().all_in_sync()
    lockstep.stop()
    lockstep.publish.rename(lockstep.folder / "unmounted")
    checked = lockstep.run("check-config")
    assert (checked.returncode, "publish.root" in checked.stderr) == (0, True), checked.stderr
    lockstep.start()
    assert "missing" in lockstep.asked("status")["publish"]["error"]


def test_a_key_file_that_is_not_there_is_named_by_check_and_start_alike(lockstep: Lockstep) -> None:
    provider = "lan: {kind: rfc2136, server: 127.0.0.1, lines: {default: {key_file: none.key}}}"
    text = lockstep.config.read_text().replace("  providers:\n", f"  providers:\n    {provider}\n")
    lockstep.config.write_text(text)
    done = lockstep.run("check-config")
    assert (done.returncode, "dns.providers.lan.lines.default.key_file" in done.stderr) == (2, True)
    assert str(lockstep.folder / "none.key") in done.stderr
    assert lockstep.spawn().wait(30) == 2
    assert "none.key is not there" in lockstep.log
    (lockstep.folder / "none.key").write_text('key k { algorithm hmac-sha256; secret "c2VjcmV0"; };')
    assert lockstep.run("check-config").returncode == 0


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("rsync  version 3.1.3  protocol version 31", "too old"),
        ("rsync  version 3.4.3  protocol version 32", "3.4.4 or newer"),
        ("openrsync: protocol version 29\nrsync version 2.6.9 compatible", "openrsync"),
        ("something else", "is no rsync"),
    ],
)
def test_an_rsync_that_cannot_be_used_ends_the_start_with_2(lockstep: Lockstep, says: str, why: str) -> None:
    program = lockstep.folder / "rsync"
    program.write_text(f"#!/bin/sh\ncat <<END\n{says}\nEND\n")
    program.chmod(0o755)
    lockstep.environ["LOCKSTEP__SYNC__RSYNC"] = str(program)
    for command in (("sync-once", "--no-dns"), ("check-config",)):
        done = lockstep.run(*command)
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr
        assert "sync.rsync: " in done.stderr


def test_a_missing_rsync_ends_the_start_with_2(lockstep: Lockstep) -> None:
    lockstep.environ["LOCKSTEP__SYNC__RSYNC"] = str(lockstep.folder / "nothing")
    assert lockstep.spawn().wait(30) == 2
    assert "is not there" in lockstep.log
    assert lockstep.run("check-config").returncode == 2


@pytest.mark.parametrize("data_dir", ["publish", "publish/var", "."])
def test_data_inside_what_is_published_or_around_it_is_refused(lockstep: Lockstep, data_dir: str) -> None:
    lockstep.config.write_text(lockstep.config.read_text().replace("data_dir: var", f"data_dir: {data_dir}"))
    done = lockstep.run("check-config")
    assert (done.returncode, "publish.root" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("name", ["a b", "-a", "a/b", "ä"])
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_written(lockstep: Lockstep, name: str) -> None:
    before = lockstep.config.read_text()
    done = lockstep.run("nodes", "add", "--anyway", "--", name, "127.0.0.9")
    assert done.returncode == 2, done.stdout + done.stderr
    assert lockstep.config.read_text() == before


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_service_ends_in_under_five_seconds_with_everything_stored(
    lockstep: Lockstep, number: int
) -> None:
    lockstep.start().all_in_sync()
    head = lockstep.asked("status")["head"]
    began = time.monotonic()
    assert lockstep.stop(number) == 0
    assert time.monotonic() - began < 5
    assert not (lockstep.folder / "var" / "control.sock").exists()
    lockstep.start()
    assert lockstep.all_in_sync()["head"] >= head


def test_the_control_socket_is_its_owner_s_alone(lockstep: Lockstep) -> None:
    lockstep.start()
    mode = stat.S_IMODE((lockstep.folder / "var" / "control.sock").stat().st_mode)
    assert mode == 0o600


# ── nodes add, services, providers ───────────────────────────────────────────────────────────────────────


def test_a_node_that_cannot_be_sent_to_is_not_written_and_the_remedy_is_printed(lockstep: Lockstep) -> None:
    before = lockstep.config.read_text()
    port = lockstep.daemons["a"].port
    answer = lockstep.json(
        "nodes", "add", "c", "127.0.0.1", "--port", str(port), "--module", "other", status=1
    )
    assert (answer["added"], answer["reachable"], answer["writable"]) == (False, True, False)
    done = lockstep.run("nodes", "add", "c", "127.0.0.1", "--port", str(port), "--module", "other")
    for line in ("[other]", "read only = no", "munge symlinks = no", "socket options = TCP_NODELAY"):
        assert line in done.stderr.splitlines()
    assert lockstep.config.read_text() == before
    done = lockstep.run(
        "nodes", "add", "c", "127.0.0.1", "--port", str(port), "--module", "other", "--anyway"
    )
    assert (done.returncode, "name: c" in lockstep.config.read_text()) == (0, True)


def test_the_check_leaves_nothing_on_the_node_and_its_folder_as_open_as_the_source_s(
    lockstep: Lockstep, tmp_path: Path
) -> None:
    from tests.servers_rsync import rsyncd

    daemon = rsyncd(tmp_path / "node")
    lockstep.publish.chmod(0o755)
    try:
        given = ("nodes", "add", "c", "--host", "127.0.0.1", "--port", str(daemon.port))
        assert lockstep.run(*given, "127.0.0.2").returncode == 2
        assert lockstep.run(*given).returncode == 0
        assert not list(daemon.module_path.iterdir())
        assert stat.S_IMODE(daemon.module_path.stat().st_mode) == 0o755
    finally:
        daemon.stop()


def test_a_node_s_password_is_read_without_echo_and_lies_in_a_file_of_its_own(
    lockstep: Lockstep, tmp_path: Path
) -> None:
    from tests.servers_rsync import PASSWORD, USER, rsyncd

    daemon = rsyncd(tmp_path / "node", password=PASSWORD)
    arguments = ("nodes", "add", "c", "127.0.0.1", "--port", str(daemon.port), "--user", USER)
    try:
        done = lockstep.run(*arguments, stdin="wrong\n")
        assert done.returncode == 1
        assert not list((lockstep.folder / "var").rglob("node-c.*"))
        done = lockstep.run(*arguments, stdin=f"{PASSWORD}\n")
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr + lockstep.config.read_text()
        stored = lockstep.folder / "var" / "secrets" / "node-c.password"
        assert (stored.read_text().strip(), stat.S_IMODE(stored.stat().st_mode)) == (PASSWORD, 0o600)
    finally:
        daemon.stop()


def test_a_node_is_asked_over_ssh_for_its_rsync(lockstep: Lockstep, tmp_path: Path) -> None:
    from tests.servers_rsync import sshd

    server = sshd(tmp_path)
    (tmp_path / "content").mkdir()
    ssh = f"ssh: {{port: {server.port}, key_file: {server.key_file}, known_hosts: {server.known_hosts}}}"
    lockstep.config.write_text(lockstep.config.read_text().replace("sync: {", f"sync: {{{ssh}, "))
    try:
        arguments = ("--transport", "ssh", "--ssh-user", server.user, "--ssh-path", str(tmp_path / "content"))
        answer = lockstep.json("nodes", "add", "c", server.host, *arguments)
        assert (answer["writable"], answer["version"].startswith("rsync 3.")) == (True, True)
        answer = lockstep.json(
            "nodes", "add", "d", server.host, "--transport", "ssh", "--ssh-path", "/proc/no", status=1
        )
        assert answer["reachable"]
    finally:
        server.stop()


def test_a_node_that_a_service_names_is_not_removed_behind_its_back(lockstep: Lockstep) -> None:
    text = lockstep.config.read_text().replace("{nodes: all}", "{nodes: [a]}")
    lockstep.config.write_text(text)
    done = lockstep.run("nodes", "remove", "a")
    assert (done.returncode, "dns.services" in done.stderr) == (2, True)
    assert lockstep.config.read_text() == text


def test_services_are_listed_added_and_removed_with_comments_kept(lockstep: Lockstep) -> None:
    before = lockstep.config.read_text()
    added = (
        "services",
        "add",
        "img",
        "--zone",
        "example.test",
        "--record",
        "img",
        "--line",
        "telecom=a/b",
        "--type",
        "a",
    )
    assert lockstep.run(*added, "--ttl", "30", "--when-none-ready", "hold").returncode == 0
    assert "# A comment that must survive every edit." in lockstep.config.read_text()
    services = {s["name"]: s for s in lockstep.json("services", "list")["services"]}
    assert services["img"]["fqdn"] == "img.example.test"
    assert (services["img"]["types"], services["img"]["ttl"]) == (["A"], 30)
    assert services["img"]["lines"]["telecom"]["tiers"] == [["a"], ["b"]]
    assert "img.example.test" in lockstep.run("services", "list").stdout
    assert lockstep.run(*added).returncode == 2
    assert "did you mean 'img'?" in lockstep.run("services", "remove", "imp").stderr
    assert lockstep.run("services", "remove", "img").returncode == 0
    assert lockstep.config.read_text() == before


def test_a_service_of_a_provider_or_node_that_is_not_there_is_refused(lockstep: Lockstep) -> None:
    before = lockstep.config.read_text()
    where = ("--zone", "example.test", "--record", "img")
    done = lockstep.run("services", "add", "img", *where, "--provider", "zon")
    assert (done.returncode, "did you mean 'zone'?" in done.stderr) == (2, True)
    assert lockstep.run("services", "add", "img", *where, "--line", "telecom=nobody").returncode == 2
    assert lockstep.run("services", "add", "img", *where, "--line", "telecom").returncode == 2
    assert lockstep.config.read_text() == before


def test_a_provider_s_secret_is_asked_for_and_never_shown(lockstep: Lockstep) -> None:
    before = lockstep.config.read_text()
    added = ("providers", "add", "cf", "--kind", "cloudflare")
    assert lockstep.run(*added).returncode == 2
    assert lockstep.run(*added, "--set", "token=on-the-command-line").returncode == 2
    assert lockstep.config.read_text() == before
    done = lockstep.run(*added, stdin="sesame-open\n")
    assert done.returncode == 0, done.stderr
    shown = (
        done.stdout
        + done.stderr
        + lockstep.config.read_text()
        + lockstep.run("check-config", "--print").stdout
    )
    assert "sesame-open" not in shown
    stored = lockstep.folder / "var" / "secrets" / "provider-cf.token"
    assert (stored.read_text().strip(), stat.S_IMODE(stored.stat().st_mode)) == ("sesame-open", 0o600)
    assert [p["name"] for p in lockstep.json("providers", "list")["providers"]] == ["zone", "cf"]
    assert lockstep.run("providers", "remove", "zone").returncode == 2  # a service uses it
    assert lockstep.run("providers", "remove", "cf").returncode == 0
    assert lockstep.config.read_text() == before


def test_an_unknown_kind_or_setting_is_refused_with_the_nearest(lockstep: Lockstep) -> None:
    done = lockstep.run("providers", "add", "x", "--kind", "aliyum")
    assert (done.returncode, "did you mean 'aliyun'?" in done.stderr) == (2, True)
    done = lockstep.run("providers", "add", "x", "--kind", "zonefile", "--set", "pathh=zones")
    assert (done.returncode, "did you mean 'path'?" in done.stderr) == (2, True)


def test_providers_check_reads_the_zones_and_names_what_is_missing(lockstep: Lockstep) -> None:
    answer = lockstep.json("providers", "check")
    assert (answer["ok"], answer["providers"][0]["zones"][0]["zone"]) == (True, "example.test")
    assert lockstep.run("providers", "check", "zonne").returncode == 2
    key = lockstep.folder / "none.key"
    assert lockstep.run(
        "providers", "add", "lan", "--kind", "rfc2136", "--set", "server=127.0.0.1", "--set", "port=9",
        "--set", f"lines={{default: {{key_file: {key}}}}}",
    ).returncode == 0  # fmt: skip
    answer = lockstep.json("providers", "check", "lan", "--zone", "example.test", status=1)
    assert answer["providers"][0]["zones"][0]["missing"]


# ── as somebody types it ─────────────────────────────────────────────────────────────────────────────────


def test_flask_finds_the_commands_by_flaskenv_and_prints_one_document(lockstep: Lockstep) -> None:
    done = lockstep.typed("nodes", "list", "--json")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert lockstep.typed("nodes", "remove", "zz").returncode == 2
