"""Decides from which level on each part is heard: the configuration's, until a person changes it while running.

A change holds until the configuration is taken up again (a reload) or the service restarts. Only Lockstep's own
parts can be changed so: a library's lines may quote requests with what signs them, and the configuration is
where an administrator asks for those. Never logs anything itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from app.config.schema.service import LogConfig
from app.naming import unknown

LEVELS = ("debug", "info", "warning", "error", "critical")
OWN = ("app", "dns", "sync")

CALM: Mapping[str, int] = {
    "aliyunsdkcore": logging.CRITICAL + 1,  # its errors quote signed requests
    "alembic": logging.WARNING,
    "apprise": logging.WARNING,  # at debug it prints the addresses it posts to, and their tokens
    "apscheduler": logging.WARNING,
    "asyncio": logging.WARNING,
    "boto3": logging.CRITICAL + 1,
    "botocore": logging.CRITICAL + 1,  # its lines quote signed requests
    "cloudflare": logging.CRITICAL + 1,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,  # a line for each request at info
    "sqlalchemy": logging.WARNING,
    "s3transfer": logging.CRITICAL + 1,
    "tencentcloud_sdk_common": logging.CRITICAL + 1,
    "urllib3": logging.WARNING,
    "waitress.queue": logging.ERROR,  # a warning for each request that had to wait a moment
    "watchdog": logging.WARNING,  # at debug it logs the log file's own changes, for ever
    "werkzeug": logging.WARNING,
}
"""Libraries that say too much, with the level from which on they are heard unless `log.levels` names them."""

_TELLS_SECRETS = "aliyunsdkcore.http.http_response"
"""With DEBUG=sdk in the environment this logger prints keys and signatures, to a handler it brings itself."""


@dataclass(frozen=True, slots=True)
class Standing:
    """From which level on a part is heard, and what the configuration says. ``part`` "" is everything."""

    part: str
    level: str
    configured: str

    @property
    def changed(self) -> bool:
        """Whether it differs from the configuration's until the next reload or restart."""
        return self.level != self.configured


_lock = threading.Lock()  # owns the three below
_configured = LogConfig()
_levelled: set[str] = set()
"""Loggers whose level the configuration set."""
_changed: set[str] = set()
"""Those whose level a person has changed since; "" is the root."""


def take(log: LogConfig) -> None:
    """Sets the configuration's levels; what was changed while running is over."""
    global _configured
    with _lock:
        _configured = log
        _set_configured()
        logging.getLogger(_TELLS_SECRETS).addFilter(_refuse)


def change(level: str | None, part: str = "") -> Standing:
    """Changes a level while running, of everything or of one part; how that part stands now.

    None puts back the configuration's: of one part, or (without a part) of everything that was changed. Raises
    ValueError, in a sentence for people, for a level there is not and a part that is not Lockstep's.
    """
    if level is not None and level not in LEVELS:
        raise ValueError(f"there is no level {level!r}; the levels are: {', '.join(LEVELS)}")
    if part and part not in (known := parts()):
        raise ValueError(
            f"{unknown('part', part, known)}; the level of a library stands in config.yml, under log.levels"
        )
    with _lock:
        if level is None and not part:
            _set_configured()
        elif level is None:
            logging.getLogger(part).setLevel(_wanted().get(part, logging.NOTSET))
            _changed.discard(part)
        else:
            logging.getLogger(part or None).setLevel(level_number(level))
            _changed.add(part)
        return _standing(part)


def standings() -> list[Standing]:
    """Everything first, then the parts whose level is told apart: the configuration's and the changed ones."""
    with _lock:
        named = {name for name in (*_configured.levels, *_changed, *OWN) if name}
        return [_standing(part) for part in ("", *sorted(named))]


def parts() -> list[str]:
    """The parts of Lockstep there are loggers of, and what they stand below, by name."""
    found: set[str] = set(OWN)
    for name in list(logging.root.manager.loggerDict):
        words = name.split(".")
        if words[0] in OWN:
            found.update(".".join(words[:size]) for size in range(1, len(words) + 1))
    return sorted(found)


def level_number(level: str) -> int:
    """The number of a level of the configuration."""
    return logging.getLevelNamesMapping()[level.upper()]


def _set_configured() -> None:
    wanted = _wanted()
    for name in (_levelled | _changed) - {"", *wanted}:
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, number in wanted.items():
        logging.getLogger(name).setLevel(number)
    logging.getLogger().setLevel(level_number(_configured.level))
    _levelled.clear()
    _levelled.update(wanted)
    _changed.clear()


def _wanted() -> dict[str, int]:
    return {**CALM, **{name: level_number(level) for name, level in _configured.levels.items()}}


def _standing(part: str) -> Standing:
    now = logging.getLogger(part or None).getEffectiveLevel()
    return Standing(part, _word(now), _word(_configured_number(part)))


def _configured_number(part: str) -> int:
    """What the configuration says of a part: its own level, or that of what it stands below."""
    wanted = _wanted()
    words = part.split(".")
    for size in range(len(words), 0, -1):
        if (name := ".".join(words[:size])) in wanted:
            return wanted[name]
    return level_number(_configured.level)


def _word(number: int) -> str:
    return logging.getLevelName(number).lower() if number <= logging.CRITICAL else "off"


def _refuse(record: logging.LogRecord) -> bool:
    """The filter of `_TELLS_SECRETS`: a function of the module, so that adding it again adds nothing."""
    return False
