"""Turns the configuration of fileSyncGo, ddns-go or CocoaSyncer into config.yml. Reads no other file and asks nobody.

Every key of the foreign file is accounted for: it became one of ours, or stands as a comment with the reason.

A further program is one file and one line in PROGRAMS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.migrate import cocoasyncer, ddnsgo, filesyncgo
from app.migrate.draft import Draft
from app.migrate.foreign import Foreign, ForeignError, read

PROGRAMS: Mapping[str, tuple[Callable[[Foreign], bool], Callable[[Foreign], Draft]]] = {
    "filesyncgo": (filesyncgo.recognised, filesyncgo.migrated),
    "ddns-go": (ddnsgo.recognised, ddnsgo.migrated),
    "cocoasyncer": (cocoasyncer.recognised, cocoasyncer.migrated),
}

__all__ = ["PROGRAMS", "Draft", "ForeignError", "migrate"]


def migrate(text: str, program: str | None = None) -> Draft:
    """The draft of config.yml. ``program`` None: recognised by its keys. Raises ForeignError for anything else."""
    foreign = read(text)
    for name, (recognised, migrated) in PROGRAMS.items():
        if program == name or (program is None and recognised(foreign)):
            return migrated(foreign)
    raise ForeignError(
        "this is neither fileSyncGo's config.YML (it has Rsync:), ddns-go's .ddns_go_config.yaml (dnsconf:) "
        "nor CocoaSyncer's config.yaml (NodeCode:)"
    )
