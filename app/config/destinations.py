"""Says where a node is reached: its own keys over the sync section's. Never connects."""

from __future__ import annotations

import ipaddress

from app.config.schema.nodes import NodeConfig
from app.config.schema.root import Config
from app.config.schema.sync import SshConfig
from sync.core.model import Destination


def destination(config: Config, node: NodeConfig, host: str | None = None) -> Destination:
    """The node's destination; ``host`` is where it was last found, for nodes that follow an address.

    The host is empty when neither says one: such a node waits for its address.
    """
    sync, ssh = config.sync, ssh_of(config, node)
    password = node.password or sync.password
    return Destination(
        node=node.name,
        host=one_spelling(host or node.known_host or ""),
        transport=node.transport or sync.transport,
        module=node.module or sync.module,
        port=node.port or sync.port,
        user=node.user or sync.user,
        password=password.get_secret_value() if password else None,
        bwlimit=node.bwlimit or sync.bwlimit,
        ssh_user=ssh.user,
        ssh_port=ssh.port,
        ssh_key_file=str(ssh.key_file) if ssh.key_file else None,
        ssh_known_hosts=str(ssh.known_hosts) if ssh.known_hosts else None,
        ssh_path=ssh.path,
    )


def ssh_of(config: Config, node: NodeConfig) -> SshConfig:
    """The ssh keys that hold for a node: those it gives itself, the section's for the rest."""
    if node.ssh is None:
        return config.sync.ssh
    own = {key: getattr(node.ssh, key) for key in node.ssh.model_fields_set}
    return config.sync.ssh.model_copy(update=own)


def one_spelling(host: str) -> str:
    """The host in one spelling, so that two spellings of it are never two destinations."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")
