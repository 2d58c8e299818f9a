"""The whole configuration as one frozen value. Made by `app.config.load` only; never changes afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PrivateAttr

from app.config.schema.alerts import AlertsConfig, HookConfig
from app.config.schema.base import AbsolutePath, OneLine, Positive, Secret, Section
from app.config.schema.dns import DnsConfig
from app.config.schema.nodes import NodeConfig
from app.config.schema.service import LogConfig, PublishConfig, WebConfig
from app.config.schema.sync import HealthConfig, NodeSourceConfig, SyncConfig

SCHEMES = ("sqlite", "postgresql", "mysql", "mariadb")


def _database_url(value: Secret) -> Secret:
    scheme, colon, rest = value.get_secret_value().partition("://")
    if not colon or not rest or scheme.partition("+")[0] not in SCHEMES:
        raise ValueError("must be a database URL: postgresql://…, mysql+pymysql://… or sqlite:///…")
    return value


class Config(Section):
    """Every section of config.yml with all defaults in place; paths absolute, durations in seconds."""

    name: OneLine = "Lockstep"
    data_dir: AbsolutePath = "var"  # type: ignore[assignment]  # validated: becomes an absolute path
    database_url: Annotated[Secret, AfterValidator(_database_url)] | None = None
    retention_days: Positive = 30
    web: WebConfig
    log: LogConfig
    publish: PublishConfig
    sync: SyncConfig
    health: HealthConfig
    nodes: tuple[NodeConfig, ...] = ()
    node_source: NodeSourceConfig
    dns: DnsConfig
    alerts: AlertsConfig
    hooks: tuple[HookConfig, ...] = ()

    _path: Path = PrivateAttr(default=Path("config.yml"))
    _env: str = PrivateAttr(default="prod")
    _files: tuple[Path, ...] = PrivateAttr(default=())
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def path(self) -> Path:
        """The file it was read from, absolute; commands that write the configuration write this one."""
        return self._path

    @property
    def env(self) -> str:
        """The environment it was read for: prod, dev, demo, …"""
        return self._env

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that was read for it."""
        return self._files

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but unwise, one sentence each, for the log and check-config."""
        return self._warnings
