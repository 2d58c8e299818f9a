"""Each condition, made by the fault itself: a service as people run it, real daemons, real mail. What begins is told,
and what ends is told.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.servers_lockstep import ROOT, Lockstep, installation
from tests.servers_rsync import free_port, tmpfs
from tests.servers_smtp import Mailbox, smtp_server

ALERTS = """\
node_source: {{command: [/bin/sh, {folder}/nodes.sh]}}
alerts:
  strategies: {{5: 4}}
  group_seconds: 0
  channels:
    ops: {{kind: email, to: [ops@example.test], from: l@example.test, host: 127.0.0.1, port: {port}, security: none}}
  routes: {{default: [ops]}}
hooks:
  - {{state: ready, argv: [/bin/sh, {folder}/note.sh]}}
  - {{state: unhealth, argv: [/bin/sh, {folder}/note.sh]}}
  - {{state: dead, argv: [/bin/sh, {folder}/note.sh]}}
  - {{state: recovery, argv: [/bin/sh, {folder}/note.sh]}}
  - {{on: published, argv: [/bin/sh, {folder}/note.sh]}}
  - {{on: withdrawn, argv: [/bin/sh, {folder}/note.sh]}}
  - {{on: batch, argv: [/bin/sh, {folder}/note.sh]}}
  - {{state: dead, channel: ops}}
  - {{state: dead, argv: [/bin/sh, -c, 'sleep 60'], timeout: 200ms}}
"""
NOTE = """\
printf '%s %s %s\\n' "$LOCKSTEP_HOOK" "$LOCKSTEP_NODE" "$LOCKSTEP_ADDRESS" >> {folder}/ran
cat >> {folder}/stdin.$LOCKSTEP_HOOK
"""

SOURCE = """echo '[{"name": "a", "host": "127.0.0.1"}]'\n"""
"""A node source that names what the file has; the file's entry counts."""


class Town:
    """A running installation and the mails that people got."""

    def __init__(self, lockstep: Lockstep, box: Mailbox) -> None:
        self.lockstep, self.box = lockstep, box

    def told(self, subject: str, said: str = "", since: int = 0, seconds: float = 40) -> str:
        """The text of a mail with this subject (and these words), of those since then; waits for it."""

        def find() -> str | None:
            for mail in self.box.mails[since:]:
                body = mail.get_body(("plain",))
                assert body is not None
                text = str(body.get_content())
                if subject in str(mail["Subject"]) and said in text:
                    return text
            return None

        subjects = [str(m["Subject"]) for m in self.box.mails[since:]]
        return str(self.lockstep.until(find, f"a mail {subject!r} {said!r} beside {subjects}", seconds))

    def over(self, what: str, since: int = 0, seconds: float = 60) -> None:
        """Waits until people were told that it is over, in one mail with its beginning or in one of its own."""

        def find() -> bool:
            subjects = [str(m["Subject"]).split("] ", 1)[1] for m in self.box.mails[since:]]
            return any(what in s and ("Over after" in s or "over after" in s) for s in subjects)

        subjects = [str(m["Subject"]) for m in self.box.mails[since:]]
        self.lockstep.until(find, f"a mail that {what!r} is over; there were {subjects}", seconds)

    @property
    def mark(self) -> int:
        return len(self.box.mails)


@contextmanager
def hurried(folder: Path, nodes: int, more: str) -> Iterator[Lockstep]:
    """An installation whose service looks at disk and database more often than every ten seconds."""
    with installation(folder, nodes, more) as made:
        made.program = ("-m", "tests.storm_whole")
        made.environ["PYTHONPATH"] = str(ROOT)
        yield made


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    box, folder = Mailbox(), tmp_path_factory.mktemp("town")
    with smtp_server(box) as port, hurried(folder, 3, ALERTS.format(port=port, folder=folder)) as made:
        made.environ.update(LOCKSTEP__SYNC__AUDIT_SECONDS="3", LOCKSTEP__HEALTH__ISOLATION_SECONDS="2")
        (folder / "nodes.sh").write_text(SOURCE)
        (folder / "note.sh").write_text(NOTE.format(folder=folder))
        for number in range(250):
            (made.publish / f"page-{number}.html").write_text(str(number))
        made.start()
        made.all_in_sync()
        assert not box.mails, f"a start is no reason for a mail: {[str(m['Subject']) for m in box.mails]}"
        yield Town(made, box)


def test_drift_on_a_node_is_told_and_its_repair_too(town: Town) -> None:
    mark = town.mark
    (town.lockstep.daemons["b"].module_path / "page-7.html").write_text("defaced by somebody else")
    town.told("drift on node b", "put right by itself", mark)
    town.over("drift on node b", mark)


def test_paths_that_a_node_cannot_take_are_errors_and_put_it_out_of_step(town: Town) -> None:
    mark, daemon = town.mark, town.lockstep.daemons["a"]
    conf = daemon.folder / "rsyncd.conf"
    conf.write_text(f"{daemon.config}\n    exclude = refused*\n")
    for number in range(5):
        (town.lockstep.publish / f"refused-{number}").write_text("a file")
    town.told("node a out of step", "dustbin", mark)
    town.told("4 errors within 5 s", "refused-", mark)
    conf.write_text(daemon.config)
    assert town.lockstep.run("dustbin", "retry", "--all").returncode == 0
    town.over("node a out of step", mark)
    town.over("4 errors within 5 s", mark)


def test_a_publish_directory_that_goes_away_is_told_and_its_return_too(town: Town) -> None:
    mark, publish = town.mark, town.lockstep.publish
    publish.rename(publish.parent / "aside")
    town.told("publish directory", "publish directory", mark)
    (publish.parent / "aside").rename(publish)
    town.over("publish directory", mark)


def test_deletions_that_wait_for_a_person_are_told_until_they_are_accepted(town: Town) -> None:
    mark, publish = town.mark, town.lockstep.publish
    for number in range(240):
        (publish / f"page-{number}.html").unlink()
    town.told("held: deletions", "--accept-deletions", mark)
    assert town.lockstep.run("nodes", "resync", "--accept-deletions").returncode == 0
    town.over("held: deletions", mark)


def test_a_node_source_that_fails_is_told_and_its_recovery_too(town: Town) -> None:
    mark, script = town.mark, town.lockstep.folder / "nodes.sh"
    script.write_text("echo 'no route to the inventory' >&2; exit 3\n")
    town.told("inventory: node source", "The last good list stays in force", mark)
    script.write_text(SOURCE)
    town.over("inventory: node source", mark)


def test_the_commands_list_silence_and_test(town: Town) -> None:
    lockstep, mark, script = town.lockstep, town.mark, town.lockstep.folder / "nodes.sh"
    tried = lockstep.run("alerts", "test", "ops")
    assert (tried.returncode, "took it for ops@example.test: 250" in tried.stdout) == (0, True), tried
    town.told("A test of the channel ops", since=mark)
    wrong = lockstep.run("alerts", "test", "pager")
    assert (wrong.returncode, "ops" in wrong.stderr) == (2, True), wrong

    begun = lockstep.json(
        "alerts", "silence", "--for", "10m", "--condition", "inventory", "--comment", "moving"
    )
    script.write_text("exit 4\n")
    lockstep.until(lambda: "node source" in lockstep.run("alerts", "list").stdout, "it is listed", 20)
    listed = lockstep.run("alerts", "list").stdout
    assert f"id {begun['id']}) moving" in listed
    assert not [m for m in town.box.mails[mark:] if "node source" in str(m["Subject"])], "and nobody is told"
    assert lockstep.run("alerts", "silence", "--end", begun["id"]).returncode == 0
    town.told("inventory: node source", since=mark)  # what still holds when a silence ends is told then
    script.write_text(SOURCE)
    town.over("inventory: node source", mark)
    assert lockstep.run("alerts", "silence", "--for", "soon").returncode == 2


def test_dns_frozen_by_a_person_is_told_until_it_is_unfrozen(town: Town) -> None:
    mark = town.mark
    assert town.lockstep.run("dns", "freeze", "--reason", "moving house").returncode == 0
    town.told("DNS: frozen by a person", "moving house", mark)
    assert town.lockstep.run("dns", "unfreeze").returncode == 0
    town.over("DNS: frozen by a person", mark)
    subjects = [str(mail["Subject"]) for mail in town.box.mails[mark:]]
    assert len(subjects) == 2, f"told once, and once that it is over: {subjects}"


def test_a_node_that_answers_but_refuses_what_is_sent_is_told(town: Town) -> None:
    mark, daemon = town.mark, town.lockstep.daemons["c"]
    conf = daemon.folder / "rsyncd.conf"
    conf.write_text("hosts deny = *\n" + daemon.config)
    (town.lockstep.publish / "news.html").write_text("news")
    town.told("system: sending to c", "hosts allow", mark)
    conf.write_text(daemon.config)
    town.over("system: sending to c", mark)


def test_all_nodes_gone_is_being_cut_off_and_then_a_service_without_a_node(town: Town) -> None:
    mark = town.mark
    for daemon in town.lockstep.daemons.values():
        daemon.sigstop()
    town.told("supervisor cut off", "this machine's network", mark)
    for name in "abc":
        assert "Look at the machine" in town.told("dead", f"* {name}: ", mark, seconds=60)
    town.told("DNS: service www", "no node is fit", mark)
    for daemon in town.lockstep.daemons.values():
        daemon.sigcont()
    for what in ("supervisor cut off", "dead", "DNS: service www"):
        town.over(what, mark)
    town.lockstep.all_in_sync()
    town.told("node a went from unhealth to dead", since=mark)  # a hook that names a channel
    events = town.lockstep.json("events")["events"]
    hung = [event for event in events if event["kind"] == "hook" and event["severity"] == "error"]
    assert any("0.2 s" in event["message"] for event in hung), "a hook that hangs is ended and reported"


def test_hooks_ran_for_every_trigger_with_their_facts(town: Town) -> None:
    """By now nodes have flipped into every state, and records have gone and come back."""
    ran = town.lockstep.folder / "ran"
    (town.lockstep.publish / "with a\nnewline").write_text("odd")

    def all_ran() -> bool:
        lines = {tuple(line.split(" ")) for line in ran.read_text().splitlines()}
        states = {(state, node, "") for state in ("ready", "unhealth", "dead", "recovery") for node in "abc"}
        records = {("published", "", "127.0.0.1"), ("withdrawn", "", "127.0.0.1")}
        return lines >= states | records | {("batch", node, "") for node in "abc"}

    town.lockstep.until(all_ran, f"every hook ran: {ran.read_text()}", 20)
    paths = town.lockstep.folder / "stdin.batch"
    town.lockstep.until(
        lambda: b"with a\nnewline" in paths.read_bytes().split(b"\0"), "the batch's paths", 20
    )


def test_a_provider_that_refuses_is_told_and_its_end_also_when_it_is_taken_out(town: Town) -> None:
    mark, config = town.mark, town.lockstep.config
    before = config.read_text()
    key = town.lockstep.folder / "k.key"
    key.write_text('key "k" { algorithm hmac-sha256; secret "c2VjcmV0IHNlY3JldCBzZWNyZXQ="; };\n')
    lines = "{default: {key_file: k.key}}"
    lan = f"    lan: {{kind: rfc2136, server: 127.0.0.1, port: {free_port()}, lines: {lines}}}\n"
    service = (
        "    - {name: away, provider: lan, zone: example.lan, record: www, ttl: 60, allow_private: true,\n"
        "       lines: {default: {nodes: all}}}\n"
    )
    zone, www = "    zone: {kind: zonefile, path: zones}\n", "  services:\n"
    config.write_text(before.replace(zone, zone + lan).replace(www, www + service))
    assert town.lockstep.run("config", "reload").returncode == 0
    town.told("DNS: example.lan at lan", "the published records stay", mark)
    config.write_text(before)
    assert town.lockstep.run("config", "reload").returncode == 0
    town.over("example.lan at lan", mark)


def test_a_configuration_that_cannot_be_taken_is_told_until_it_can(town: Town) -> None:
    mark, config = town.mark, town.lockstep.config
    before = config.read_text()
    config.write_text(before + "surprise: true\n")
    assert town.lockstep.process is not None
    os.kill(town.lockstep.process.pid, signal.SIGHUP)
    town.told("system: configuration", "", mark)
    config.write_text(before)
    assert town.lockstep.run("config", "reload").returncode == 0
    town.over("system: configuration", mark)


def test_a_database_that_takes_no_writes_is_told_though_alerts_live_in_it(town: Town) -> None:
    mark = town.mark
    with closing(sqlite3.connect(town.lockstep.folder / "var/lockstep.db", timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        (town.lockstep.publish / "during.html").write_text("x")
        town.told("system: database", "", mark, seconds=90)
        other.rollback()
    town.over("system: database", mark, seconds=90)


def test_a_service_without_a_fit_node_is_told_though_a_stopgap_answers_until_it_is_taken_out(
    town: Town,
) -> None:
    mark, config = town.mark, town.lockstep.config
    before = config.read_text()
    service = (
        "    - {name: spare, provider: zone, zone: example.test, record: spare, types: [A], allow_private: true,\n"
        "       lines: {default: {nodes: [b], fallback: none}}, when_none_ready: fallback,\n"
        "       fallback_addresses: [127.0.0.9]}\n"
    )
    config.write_text(before.replace("  services:\n", "  services:\n" + service))
    assert town.lockstep.run("config", "reload").returncode == 0
    assert town.lockstep.run("nodes", "drain", "b").returncode == 0
    town.told("DNS: service spare", "the fallback addresses", mark)
    config.write_text(before)
    assert town.lockstep.run("config", "reload").returncode == 0
    town.over("DNS: service spare", mark)
    assert town.lockstep.run("nodes", "undrain", "b").returncode == 0


def test_a_full_disk_is_told_and_room_on_it_too(tmp_path: Path) -> None:
    """The data of the service on a small file system; alerts are told from memory where they cannot be stored."""
    box = Mailbox()
    (tmp_path / "town").mkdir()
    (tmp_path / "town/nodes.sh").write_text(SOURCE)
    with ExitStack() as stack:
        small = stack.enter_context(tmpfs(tmp_path / "small", "24m"))
        more = ALERTS.format(port=stack.enter_context(smtp_server(box)), folder=tmp_path / "town")
        made = stack.enter_context(hurried(tmp_path / "town", 1, more))
        (made.folder / "var").symlink_to(small)
        town = Town(made.start(), box)
        made.all_in_sync()
        ballast = small / "ballast"
        ballast.write_bytes(b"x" * (shutil.disk_usage(small).free - 100_000))
        town.told("system: disk", "free some")
        ballast.unlink()
        town.over("system: disk")
        made.stop()
