"""Says which changes of the configuration a running service cannot take up. Never restarts anything."""

from __future__ import annotations

from app.config.schema.root import Config


def diff_needs_restart(old: Config, new: Config) -> list[str]:
    """The keys that differ and take effect only with a restart; empty when a reload is enough."""
    pairs = {
        "data_dir": (old.data_dir, new.data_dir),
        "database_url": (old.database_url, new.database_url),
        "publish.root": (old.publish.root, new.publish.root),
    }
    return [key for key, (before, after) in pairs.items() if before != after]
