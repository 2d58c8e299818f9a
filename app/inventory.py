"""Knows which nodes there are: config.yml's and the node source's. Never lets a bad answer shrink the list."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.config import Config
from app.config.schema.nodes import NodeConfig
from app.files import write_atomically
from sync.core.nodelist import Decision, Failure, Fetch, ListedNode, NodeListError, as_json, decide, parse
from sync.nodesource import fetch

log = logging.getLogger(__name__)

STORED = "node-source.json"


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """What the Nodes page shows of the node source. ``trouble``: why its last answer was not taken."""

    command: tuple[str, ...]
    trouble: str | None = None
    output: str = ""
    stderr: str = ""


class Inventory:
    """The nodes of the file and of the source together. ``changed`` is called when the source's part changed."""

    def __init__(self, config: Config, changed: Callable[[], None], told: Callable[[str, str], None]) -> None:
        self._config = config
        self._changed = changed
        self._told = told  # (message, severity) for the timeline
        self._listed: Mapping[str, ListedNode] = {}
        self._misses: Mapping[str, int] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="node-source")
        self._stop = threading.Event()
        self._running = threading.Lock()
        self.standing = SourceStanding(tuple(config.node_source.command or ()))
        self._load_stored()

    @property
    def _stored(self) -> Path:
        return self._config.data_dir / STORED

    def _load_stored(self) -> None:
        """The list of before the start: a source that fails now must not empty it."""
        if not self._config.node_source.command:
            return
        try:
            self._listed = {node.name: node for node in parse(self._stored.read_bytes())}
        except FileNotFoundError:
            return
        except (OSError, NodeListError) as error:
            log.warning(
                "the stored node list %s cannot be used (%s); the source is asked anew", self._stored, error
            )

    def nodes(self) -> list[tuple[NodeConfig, str]]:
        """Every node with where it comes from: file or source. The file wins where both have a name."""
        listed = [(node, "file") for node in self._config.nodes]
        names = {node.name for node in self._config.nodes}
        for entry in self._listed.values():
            if entry.name in names:
                continue
            try:
                listed.append((node_of(entry), "source"))
            except ValidationError as error:
                log.warning("the stored node %s cannot be used any more: %s", entry.name, one_sentence(error))
        return listed

    @property
    def seconds(self) -> float | None:
        """How often the source is asked; None without one."""
        source = self._config.node_source
        return (source.every or self._config.health.sleep_times.total) if source.command else None

    def reconfigure(self, config: Config) -> None:
        """Takes another configuration; a source that is configured no more leaves no nodes behind."""
        self._config = config
        if not config.node_source.command:
            self._listed, self._misses = {}, {}
        if self.standing.trouble and self.standing.command != tuple(config.node_source.command or ()):
            self._told("the node source was changed", "info")
        self.standing = SourceStanding(tuple(config.node_source.command or ()))

    def ask(self) -> None:
        """Asks the source in its own thread; a call while one runs is dropped."""
        if not self._stop.is_set() and self._running.acquire(blocking=False):
            self._pool.submit(self._ask_and_release)

    def _ask_and_release(self) -> None:
        try:
            self.ask_now()
        except Exception:
            log.exception("asking the node source broke off")
        finally:
            self._running.release()

    def ask_now(self, *, accept: bool = False) -> None:
        """Asks the source and takes its answer, or keeps the list."""
        command = self._config.node_source.command
        if not command:
            return
        answer = fetch(command, stop=self._stop, cwd=str(self._config.path.parent))
        if self._stop.is_set():
            return
        decision = decide(
            self._listed, answer, self._misses, {n.name for n in self._config.nodes}, accept=accept
        )
        decision = self._checked(decision)
        self._misses = decision.misses
        self._note(answer, decision)
        if decision.nodes != self._listed and decision.refused_reason is None:
            self._listed = decision.nodes
            write_atomically(self._stored, as_json(self._listed.values()).encode())
            self._changed()

    def _checked(self, decision: Decision) -> Decision:
        """Entries are held against the same rules as those of config.yml; one bad entry refuses the list."""
        for entry in decision.nodes.values():
            try:
                node_of(entry)
            except ValidationError as error:
                reason = f"the node source's {entry.name}: {one_sentence(error)}"
                return Decision(self._listed, refused_reason=reason, misses=self._misses)
        return decision

    def _note(self, answer: Fetch | Failure, decision: Decision) -> None:
        before = self.standing.trouble
        output = answer.output[:4000].decode("utf-8", "replace") if isinstance(answer, Fetch) else ""
        stderr = answer.stderr if isinstance(answer, Failure) else ""
        trouble = decision.refused_reason
        self.standing = SourceStanding(tuple(self._config.node_source.command or ()), trouble, output, stderr)
        if trouble and trouble != before:
            self._told(f"{trouble}; the list of {len(self._listed)} nodes is kept", "error")
        elif before and not trouble:
            self._told("the node source answers again", "info")

    def stop(self) -> None:
        """Ends a program under way and the thread."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def node_of(entry: ListedNode) -> NodeConfig:
    """A listed node as one of config.yml. Raises ValidationError."""
    return NodeConfig.model_validate({**entry.entry, "name": entry.name, "host": entry.host})


def one_sentence(error: ValidationError) -> str:
    """The first of pydantic's complaints, with its place."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
