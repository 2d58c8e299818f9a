"""Makes the file that runs the service at boot: a systemd unit, or a launchd plist. Installs nothing itself."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

UNIT = "lockstep.service"
PLIST = "lockstep.plist"
DEFAULT_ENV = "prod"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the service lives and as whom it runs. ``writable`` are folders it writes besides its checkout's var."""

    root: Path
    python: Path
    user: str
    config: Path
    env: str
    data_dir: Path
    writable: tuple[Path, ...] = ()

    @property
    def variables(self) -> Mapping[str, str]:
        """What the service needs in its environment to find its configuration; empty for the usual place."""
        found = {}
        if self.config != self.root / "config.yml":
            found["LOCKSTEP_CONFIG"] = str(self.config)
        if self.env != DEFAULT_ENV:
            found["LOCKSTEP_ENV"] = self.env
        return found


class PathError(ValueError):
    """A path that a unit file cannot hold."""


def unit(template: str, place: Place) -> str:
    """The systemd unit (systemd.service(5), systemd.exec(5)). Raises PathError for control characters in a path."""
    folders = sorted({place.config.parent, place.data_dir, *place.writable})
    said = {
        "Documentation": f"file:{_percent(place.root / 'README.md').replace(' ', '%%20')}",
        "User": place.user,
        "WorkingDirectory": _percent(place.root),
        "ExecStart": f"{_quoted(place.python)} wsgi.py",
        "ReadWritePaths": " ".join(_quoted(folder) for folder in folders),
    }
    if place.user == "root":  # whose files are mostly somebody else's: without these it could not read them
        said["CapabilityBoundingSet"] = "CAP_NET_RAW CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH"
    text = re.sub(r"\A#.*\n", "", template)
    for key, value in said.items():
        text = re.sub(rf"(?m)^{key}=.*$", lambda _, line=f"{key}={value}": line, text)  # type: ignore[misc]
    added = "".join(f"Environment={_quoted(f'{k}={v}')}\n" for k, v in place.variables.items())
    return text.replace("EnvironmentFile=", f"{added}EnvironmentFile=", 1)


def plist(template: bytes, place: Place) -> bytes:
    """The launchd plist (launchd.plist(5))."""
    said = plistlib.loads(template)
    said["UserName"] = place.user
    said["WorkingDirectory"] = str(place.root)
    said["ProgramArguments"] = [str(place.python), "wsgi.py"]
    said["EnvironmentVariables"] |= dict(place.variables)
    said["StandardErrorPath"] = str(place.data_dir / "lockstep.log")
    return plistlib.dumps(said, sort_keys=False)


def _quoted(value: object) -> str:
    """One word of a unit file: quoted where it holds blanks, % and $ doubled."""
    text = _percent(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if re.search(r"[\s\"'\\]", text) else text


def _percent(value: object) -> str:
    text = str(value)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise PathError(f"{text!r} cannot stand in a unit file: rename the folder")
    return text.replace("%", "%%")
