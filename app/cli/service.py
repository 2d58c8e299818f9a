"""Reaches the running service from a command, or stands in for it under the installation's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from flask import current_app

from app.config import secrets_of
from app.control import NotRunning, ask
from app.installation import configuration
from app.inventory import STORED
from app.lock import InstallationLock
from app.logs import configure as configure_logs
from app.models import READ, db
from app.naming import unknown
from app.operations import Refused
from app.schema import upgrade
from app.stores.reading import Reading
from app.supervisor import Supervisor
from sync.core.nodelist import NodeListError, parse

Say = Callable[[Any], None]


def running(do: str, arguments: Mapping[str, Any] | None = None, say: Say = lambda facts: None) -> Any:
    """The running service's answer. Raises NotRunning or Refused."""
    return ask(configuration().data_dir, do, arguments, say)


def running_or_refuse(do: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """The same for what only a running service can do."""
    try:
        return running(do, arguments)
    except NotRunning:
        raise Refused(
            "not_running", "no service is running here: start it with `make serve`, or use `flask sync-once`"
        ) from None


def node_names() -> list[str]:
    """The nodes of the running service; without one, those of config.yml and the node source's last list."""
    try:
        return [node["name"] for node in running("status")["nodes"]]
    except NotRunning:
        config = configuration()
    names = [node.name for node in config.nodes]
    if config.node_source.command:
        with suppress(OSError, NodeListError):
            names += [node.name for node in parse((config.data_dir / STORED).read_bytes())]
    return names


def refuse_unknown_node(name: str | None) -> None:
    """Raises Refused, with the nearest name, for a node that is not there; None is no node."""
    if name is not None and name not in (names := node_names()):
        raise Refused("unknown_node", unknown("node", name, names))


@contextmanager
def one_off(kind: str, *, hands_off: bool = False) -> Iterator[Supervisor]:
    """A supervisor of this command's own. Raises Held when a service that cannot be asked has the lock."""
    config = configuration()
    quiet = config.log.model_copy(update={"level": "warning", "path": None})
    configure_logs(quiet, config.data_dir, secrets_of(config))
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    supervisor = Supervisor(app, config, kind=kind, at_once=True, hands_off=hands_off)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


def stored() -> Reading:
    """What the database holds, for commands that only look; nothing needs to run."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    config = configuration()
    try:
        running("ping")
    except NotRunning:
        with InstallationLock(config.data_dir).held("upgrade"):
            upgrade(app)
    return Reading(db.engines[READ])
