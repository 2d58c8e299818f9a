"""A whole service with real mail: what goes wrong, however wildly, is a handful of mails, and none is forgotten.

The storm is seeded like the content half's (STORM_SEED, STORM_SECONDS); a failure prints the seed and the mails.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.alerts.events import signals_of
from app.alerts.model import OF_NODES, Condition, Notice, NoticeKind, Raised, Severity
from app.control import NotRunning, ask
from sync.core.model import State
from sync.ports import Event
from tests.served import service
from tests.servers_lockstep import ROOT
from tests.servers_rsync import Daemon, daemons, free_port  # noqa: F401
from tests.servers_smtp import Mailbox, MailServer, smtp_server
from tests.stand import wait_until
from tests.storm_trouble import STOP_SECONDS, Trouble, chroot, stable_tree

NODES = 8


def test_eight_nodes_that_die_and_return_are_few_mails_and_no_incident_is_forgotten(tmp_path: Path) -> None:
    box = Mailbox()
    with smtp_server(box) as port:
        more = (
            "alerts:\n  group_seconds: 2\n  channels:\n"
            f"    ops: {{kind: email, to: [ops@example.test], from: l@example.test, host: 127.0.0.1, port: {port},"
            " security: none}\n  routes: {default: [ops]}\n"
        )
        with service(tmp_path, nodes=NODES, more=more) as running:
            nodes = running.supervisor.engine.field.nodes
            wait_until(lambda: all(n.state is State.READY for n in nodes.values()), 60, "all ready")
            for daemon in running.daemons.values():
                daemon.kill()
            wait_until(lambda: all(n.state is State.DEAD for n in nodes.values()), 60, "all dead")
            wait_until(lambda: named(box, "dead", nodes) == set(nodes), 60, "every death told")
            for daemon in running.daemons.values():
                daemon.start()
            wait_until(lambda: all(n.state is State.READY for n in nodes.values()), 90, "all back")
            alerts = running.supervisor.alerting.alerts
            wait_until(
                lambda: all(a.condition is not Condition.DEAD for a in alerts.alerts), 60, "every death over"
            )
            wait_until(
                lambda: named(box, "over", nodes) == set(nodes), 60, f"every end told: {subjects(box)}"
            )
            assert len(box.mails) <= 8, subjects(box)


def named(box: Mailbox, what: str, nodes: object) -> set[str]:
    """The nodes that mails of beginnings ("dead") or of ends ("over") name."""
    found: set[str] = set()
    for mail in list(box.mails):
        text = mail.get_body(("plain",)).get_content()
        is_end = "over" in str(mail["Subject"]).lower() or "resolved" in str(mail["Subject"]).lower()
        if is_end == (what == "over"):
            words = set(text.replace(",", " ").replace(":", " ").replace(".", " ").split())
            found |= {name for name in nodes if name in words}  # type: ignore[attr-defined]
    return found


def subjects(box: Mailbox) -> str:
    return "; ".join(str(m["Subject"]) for m in box.mails)


# ── the storm ────────────────────────────────────────────────────────────────────────────────────────────

SEED = int(os.environ.get("STORM_SEED", "1"))
SECONDS = float(os.environ.get("STORM_SECONDS", "7"))
SETTLE_SECONDS = 60.0 + SECONDS / 10
FLAP_SECONDS = 5.0
KILL_SECONDS = 2.0  # what was judged so shortly before a kill may be in the timeline and not with the alerts
CONFIG = """\
data_dir: var
web: {{host: 127.0.0.1, port: {port}}}
publish: {{root: publish, exclude: ["*.tmp"]}}
sync: {{connect_seconds: 2, timeout_seconds: 5, stall_seconds: 8, dustbin_seconds: 0.3, max_lag_seconds: 3,
        audit_seconds: 4, deep_audit_seconds: 9, checksum_max_bytes: 600000}}
health:
  sleep_times: {{ready: 0.4, dead: 0.3, unhealth: 0.15, recovery: 0.2, total: 4}}
  probes: [{{kind: rsync, timeout: 1, attempts: 2}}]
  isolation_seconds: 2
nodes:
{nodes}
dns:
  startup_hold_seconds: 5
  hold_down_seconds: 0
  providers: {{zone: {{kind: zonefile, path: zones}}}}
  services:
    - {{name: www, provider: zone, zone: example.test, record: www, allow_private: true,
       lines: {{default: {{nodes: all}}}}}}
alerts:
  strategies: {{3: 8, 5: 5}}
  group_seconds: 1
  flap_seconds: {flap}
  channels:
    ops: {{kind: email, to: [ops@example.test], from: l@example.test, host: 127.0.0.1, port: {mail},
          security: none, timeout: 2}}
"""


@dataclass
class AlertStorm(Trouble):
    """The whole service with alerts on, and a mail server that is in the storm as well."""

    mail: MailServer = field(default_factory=lambda: MailServer(Mailbox()))
    outages: list[float] = field(default_factory=list)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.storm_whole"]

    def environment(self) -> dict[str, str]:
        config = {"LOCKSTEP_CONFIG": str(self.folder / "config.yml"), "PYTHONPATH": str(ROOT)}
        return {**{k: v for k, v in os.environ.items() if not k.startswith("LOCKSTEP_")}, **config}

    def accepting(self) -> bool:
        return self.asked("ping") is not None

    def asked(self, do: str, **arguments: Any) -> Any:
        try:
            return ask(self.folder / "var", do, arguments)
        except (NotRunning, ConnectionError):
            return None

    def actions(self) -> list[tuple[Callable[[], None], int]]:
        return [*super().actions(), (self.mail_goes, 3), (self.mail_comes, 3), (self.mail_is_deferred, 1)]

    def mail_goes(self) -> None:
        if self.mail.is_up:
            self.outages.append(time.time())
            self.mail.stop()

    def mail_comes(self) -> None:
        self.mail.start()

    def mail_is_deferred(self) -> None:
        self.mail.box.data_replies.append("451 4.7.1 greylisted, come again")

    def calm(self) -> None:
        super().calm()
        self.mail.start()

    def is_over(self) -> bool:
        """Whether everything is alike again and nothing is left to tell."""
        status = self.asked("status")
        if not status:
            return False
        if status["publish"]["error"] or any(node["held"] for node in status["nodes"]):
            self.asked("resync", names=[], accept_deletions=True)
        if any(node["dustbin"] for node in status["nodes"]):
            self.asked("retry")
        if not all(n["state"] == "ready" and n["in_sync"] and n["lag_changes"] == 0 for n in status["nodes"]):
            return False
        return not (self.asked("alerts") or {"alerts": [1]})["alerts"] and not self.waiting()

    # ── what was written down ────────────────────────────────────────────────────────────────────────────

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "var/lockstep.db", timeout=20)) as database:
            return database.execute(query).fetchall()

    def waiting(self) -> bool:
        return bool(self.rows("SELECT 1 FROM outbox WHERE state = 'waiting'"))

    def notices(self) -> dict[str, Notice]:
        found = [Notice.from_json(json.loads(text)) for (text,) in self.rows("SELECT notice FROM outbox")]
        return {notice.id: notice for notice in sorted(found, key=lambda notice: notice.at)}

    def raised(self) -> list[Raised]:
        """Everything that the timeline says began to hold."""
        found: list[Raised] = []
        for at, kind, severity, node, message, facts in self.rows(
            "SELECT at, kind, severity, node, message, facts FROM event ORDER BY id"
        ):
            event = Event(at, kind, message, node, severity, json.loads(facts))
            if kind == "flip" and event.facts["new"] == "dead":
                found.append(Raised(at, Condition.DEAD, node, Severity.CRITICAL, message, ""))
            elif kind != "flip":
                found += [signal for signal in signals_of(event) if isinstance(signal, Raised)]
        return found

    def story(self) -> str:
        log = (self.folder / "service.log").read_text(errors="replace").splitlines()
        lines = [f"STORM_SEED={self.seed} STORM_SECONDS={SECONDS}", f"did: {' '.join(self.did)}"]
        lines += [f"{mail['Date']} {mail['Subject']}" for mail in self.mail.box.mails]
        lines += [json.dumps(self.asked("alerts") or {}, indent=1), *self.differing()[:5]]
        return "\n".join([*lines, "…", *log[-40:]])


Incident = tuple[float, float]
"""From when to when something held, as it was told; without an end, to infinity."""


def incidents(notices: list[Notice]) -> dict[tuple[Condition, str], list[Incident]]:
    """The incidents that people were told of. Fails for a beginning or an end that was told twice or made no sense."""
    told: dict[tuple[Condition, str], list[Incident]] = defaultdict(list)
    begun: dict[tuple[Condition, str], float] = {}
    for notice in notices:
        for item in notice.items:
            key = item.condition, item.object
            where = f"{notice.kind} of {key} at {notice.at}"
            match notice.kind:
                case NoticeKind.RESOLVED:
                    assert key in begun, f"an end without a beginning: {where}"
                    assert item.ended_at is not None
                    told[key].append((begun.pop(key), item.ended_at))
                case NoticeKind.FIRING if item.ended_at is not None:
                    assert key not in begun, f"over at once, and it had begun: {where}"
                    told[key].append((item.since, item.ended_at))
                case NoticeKind.FIRING:  # twice only when it got worse, or stays after it flapped
                    begun.setdefault(key, item.since)
                case NoticeKind.FLAPPING:
                    begun.setdefault(key, item.since)
                case _:
                    assert key in begun, f"still, and it had not begun: {where}"
    for key, since in begun.items():
        told[key].append((since, float("inf")))
    for key, spans in told.items():
        ordered = sorted(spans)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(ordered)), (
            f"told twice: {key} {spans}"
        )
    return told


def check_what_was_told(storm: AlertStorm) -> None:
    notices = storm.notices()
    states = set(storm.rows("SELECT DISTINCT state FROM outbox"))
    assert states <= {("sent",)}, "the outbox has nothing left, and nothing was given up"
    arrived: dict[str, list[float]] = defaultdict(list)
    for mail, at in zip(storm.mail.box.mails, storm.mail.box.times, strict=True):
        arrived[str(mail["Message-ID"]).strip("<>").split("@")[0]].append(at)
    assert set(arrived) == set(notices), "every notice arrived, and nothing else"
    for identity, times in arrived.items():
        lost = [at for at in (*storm.kills, *storm.outages) if times[0] - 1 < at < times[0] + 5]
        assert len(times) == 1 or lost, (
            f"sent {len(times)} times, and no answer was lost: {notices[identity]}"
        )
    told = incidents(list(notices.values()))
    assert all(end < float("inf") for spans in told.values() for _, end in spans), (
        f"everything is over: {told}"
    )
    forgotten = [
        one
        for one in storm.raised()
        if not any(
            since - 0.01 <= one.at <= end + 0.01 for since, end in told.get((one.condition, one.object), ())
        )
        and not excused(storm, one, told)
    ]
    assert not forgotten, f"began and was not told: {forgotten}"


def excused(storm: AlertStorm, one: Raised, told: dict[tuple[Condition, str], list[Incident]]) -> bool:
    """Whether its being untold is meant: the machine was switched off under it, the supervisor was cut off, or it is
    the channel's own trouble.
    """
    if any(one.at - 0.1 <= kill <= one.at + KILL_SECONDS for kill in storm.kills):
        return True
    if one.condition in OF_NODES:
        cut = told.get((Condition.CUT_OFF, "supervisor"), [])
        return any(since - 2 <= one.at <= end + 2 for since, end in cut)
    return False


@pytest.fixture
def storm(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[AlertStorm]:  # noqa: F811
    root = tmp_path / "publish"
    stable_tree(root)
    running = {name: daemons(module_extra=chroot()) for name in ("a", "b", "c")}
    each = "  - {{name: {}, host: 127.0.0.1, port: {}, module: content}}"
    nodes = "\n".join(each.format(name, daemon.port) for name, daemon in running.items())
    made = AlertStorm(tmp_path, root, running, SEED, random.Random(SEED))
    config = CONFIG.format(port=free_port(), nodes=nodes, flap=FLAP_SECONDS, mail=made.mail.port)
    (tmp_path / "config.yml").write_text(config)
    made.mail.start()
    yield made
    made.end()
    made.mail.stop()


@pytest.mark.storm
@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 120)
def test_in_a_storm_every_incident_is_told_and_resolved_and_nothing_twice(storm: AlertStorm) -> None:
    storm.start()
    wait_until(storm.is_over, 60, "all is well at first", storm.story)
    storm.rage(SECONDS)
    storm.calm()
    if storm.service is None:
        storm.start()
    try:
        wait_until(storm.is_over, SETTLE_SECONDS, "calm after the storm")
        assert storm.stop_service() < STOP_SECONDS + 3
        check_what_was_told(storm)
        assert len(storm.mail.box.mails) <= 10 + SECONDS, "a handful of mails"
    except AssertionError as error:
        pytest.fail(f"{error}\n{storm.story()}")
