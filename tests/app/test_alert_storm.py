"""A whole service with real mail: many nodes die at once and come back, and people get a handful of mails."""

from __future__ import annotations

from pathlib import Path

from app.alerts.model import Condition
from sync.core.model import State
from tests.served import service
from tests.servers_smtp import Mailbox, smtp_server
from tests.stand import wait_until

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
