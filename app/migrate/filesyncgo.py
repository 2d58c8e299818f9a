"""fileSyncGo's config.YML. Facts about it: its loader (viper) ignores the case of keys; its ping is a TCP dial to the
rsync port within Rsync.timeout; rsync's own limit is --timeout in rsyncParams; it never deletes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.config.extra_args import allowed
from app.migrate.draft import Draft
from app.migrate.foreign import Foreign

IMPLIED = "every run does so by itself"
PARAMETERS = {
    "a": IMPLIED, "v": IMPLIED, "r": IMPLIED, "l": IMPLIED, "t": IMPLIED, "R": IMPLIED, "s": IMPLIED, "p": IMPLIED,
    "D": IMPLIED, "O": IMPLIED, "i": IMPLIED, "c": IMPLIED,
    "--force": IMPLIED, "--from0": IMPLIED, "--omit-dir-times": IMPLIED, "--archive": IMPLIED, "--verbose": IMPLIED,
    "--relative": IMPLIED, "--recursive": IMPLIED, "--links": IMPLIED, "--times": IMPLIED, "--protect-args": IMPLIED,
    "u": "never used: a file that is set back to an older version would not be sent",
    "--update": "never used: a file that is set back to an older version would not be sent",
    "--ignore-errors": "never used: with deletion, a directory that cannot be read would be deleted on "
        "the nodes",
    "--include": "has no counterpart: name what to carry in publish.paths",
    "--filter": "has no counterpart: use publish.exclude",
    "--files-from": IMPLIED,
}  # fmt: skip
WITH_VALUE = {"--timeout", "--contimeout", "--exclude", "--bwlimit", "--password-file", "--port", "--include",
              "--filter", "--files-from"}  # fmt: skip


def recognised(foreign: Foreign) -> bool:
    """Whether it is one of fileSyncGo's."""
    return foreign.has("Rsync") and (foreign.has("HealthKeeper") or foreign.has("Rsync", "rsyncParams"))


def migrated(foreign: Foreign) -> Draft:
    """The draft of config.yml."""
    draft = Draft("fileSyncGo")
    draft.set("name", foreign.take("AppName"))
    _publish(foreign, draft)
    _sync(foreign, draft)
    _health(foreign, draft)
    _around(foreign, draft)
    for key, value in foreign.left():
        draft.leave_out(key, f"is not known ({value!r})")
    draft.advice += [
        "fileSyncGo never deletes, hence publish.delete: false. `delete: true` takes paths that are gone "
        "at the source from the "
        "nodes, and turns what they hold beyond it into drift; the first full resync asks before it "
        "deletes more than 20 paths.",
        "`flask check-config` checks this file, `flask nodes check` asks the nodes, `flask sync-once "
        "--dry-run` compares.",
    ]
    return draft


def _publish(foreign: Foreign, draft: Draft) -> None:
    draft.set("publish.root", foreign.take("Rsync", "baseDir"), "baseDir")
    paths = [str(path).strip("/") for path in foreign.take("Rsync", "pathList", default=[])]
    draft.set("publish.paths", [path for path in paths if path] or None, "pathList, without the leading /")
    draft.set("publish.exclude", [])
    draft.set("publish.delete", False, "fileSyncGo never deletes; see below")


def _sync(foreign: Foreign, draft: Draft) -> None:
    draft.set("sync.rsync", foreign.take("Rsync", "rsyncBin"))
    draft.set("sync.module", foreign.take("Rsync", "moduleName"))
    draft.set("sync.port", foreign.take("Rsync", "port"))
    for theirs, ours in (
        ("maxProcesses", "max_processes"),
        ("maxInit", "max_init"),
        ("maxRecovery", "max_recovery"),
        ("dustbinSecond", "dustbin_seconds"),
    ):
        draft.set(f"sync.{ours}", foreign.take("Rsync", theirs))
    extra: list[str] = []
    implied: list[str] = []
    for parameter, value in parameters([str(p) for p in foreign.take("Rsync", "rsyncParams", default=[])]):
        if PARAMETERS.get(parameter) == IMPLIED:
            implied.append(parameter if parameter.startswith("--") else f"-{parameter}")
        else:
            _parameter(draft, parameter, value, extra)
    if implied:
        draft.leave_out(f"Rsync.rsyncParams {' '.join(dict.fromkeys(implied))}", IMPLIED)
    draft.set("sync.extra_args", extra or None)
    if not draft.values["publish"]["exclude"]:
        draft.remarks["publish.exclude"] = "fileSyncGo excluded nothing"


def parameters(given: list[str]) -> Iterator[tuple[str, str | None]]:
    """The parameters one by one: ``-avz`` as a, v, z; ``--timeout 3`` and ``--timeout=3`` with their value."""
    rest = list(given)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if not equals and name in WITH_VALUE:
                yield name, rest.pop(0) if rest else None
            else:
                yield name, value if equals else None
        elif word.startswith("-"):
            yield from ((letter, None) for letter in word[1:])
        else:
            yield word, None


def _parameter(draft: Draft, name: str, value: str | None, extra: list[str]) -> None:
    if name == "--exclude":
        draft.values["publish"]["exclude"].append(value)
    elif name == "--timeout":
        _timeout(draft, _number(value))
    elif name == "--contimeout":
        draft.set("sync.connect_seconds", _number(value))
    elif name == "--bwlimit":
        draft.set("sync.bwlimit", value)
    elif name == "--password-file":
        draft.set("sync.password_file", value)
    elif name == "--port":
        draft.set("sync.port", _number(value))
    elif name in ("z", "--compress"):
        draft.set("sync.compress", True, "-z")
    elif name.startswith("--delete"):
        draft.set("publish.delete", True, f"{name} in rsyncParams")
    elif name in PARAMETERS:
        shown = name if name.startswith("--") else f"-{name}"
        draft.leave_out(f"Rsync.rsyncParams {shown}{f' {value}' if value else ''}", PARAMETERS[name])
    else:
        _own(draft, name, value, extra)


def _own(draft: Draft, name: str, value: str | None, extra: list[str]) -> None:
    argument = (name if name.startswith("--") else f"-{name}") + (f"={value}" if value is not None else "")
    try:
        allowed((argument,))
    except ValueError:
        draft.leave_out(
            f"Rsync.rsyncParams {argument}", "could break a promise, so sync.extra_args does not take it"
        )
    else:
        extra.append(argument)


def _timeout(draft: Draft, seconds: float | None) -> None:
    """rsync's limit of silence. connect_seconds must not be longer."""
    if not seconds:
        return
    remark = "--timeout in rsyncParams"
    if seconds < 60:
        remark += "; short: a sender that checksums a large file is silent for longer (default 300)"
    draft.set("sync.timeout_seconds", seconds, remark)
    if seconds < 5:
        draft.set("sync.connect_seconds", seconds)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def _health(foreign: Foreign, draft: Draft) -> None:
    times = {word: foreign.take("HealthKeeper", "sleepTimes", word) for word in
             ("ready", "dead", "unhealth", "recovery", "total")}  # fmt: skip
    draft.set(
        "health.sleep_times", {word: value for word, value in times.items() if value is not None} or None
    )
    draft.set("health.unhealth_tries", foreign.take("HealthKeeper", "sleepTimes", "unhealthTryTime"))
    draft.set("health.unhealth_fatal", foreign.take("HealthKeeper", "sleepTimes", "unhealthFatalTime"))
    timeout = foreign.take("Rsync", "timeout")
    if timeout is not None:
        probe = {"kind": "rsync", "timeout": timeout, "attempts": 1}
        draft.set("health.probes", [probe], "its ping is a connection to the rsync port within Rsync.timeout")
    if foreign.take("HealthKeeper", "status") is not None:
        draft.leave_out("HealthKeeper.status", "the states have no numbers here, they are words everywhere")


def _around(foreign: Foreign, draft: Draft) -> None:
    source = foreign.take("HealthKeeper", "IPSPath")
    if source:
        command = ["php", source] if str(source).endswith(".php") else [source]
        draft.set("node_source.command", command, "IPSPath")
    devices = foreign.take("HealthKeeper", "devIPS")
    if devices:
        hosts = ", ".join(f"{{name: {host}, host: {host}}}" for host in devices)
        draft.leave_out(
            "HealthKeeper.devIPS",
            f"belongs into config.dev.yml, used with LOCKSTEP_ENV=dev: nodes: [{hosts}]",
        )
    _log(foreign.take("LogPath"), draft)
    if foreign.take("envPath") is not None:
        draft.leave_out("envPath", "the variable LOCKSTEP_ENV says which environment it is; default prod")
    strategies = foreign.take("mailStrategies")
    if strategies:
        draft.set("alerts.strategies", dict(strategies))
    _mail(foreign.take("NoticeEmail"), draft)


def _log(folder: Any, draft: Draft) -> None:
    if not folder:
        return
    root = str(draft.values["publish"].get("root", "")).rstrip("/") + "/"
    if f"{folder}/".startswith(root):
        draft.leave_out(
            "LogPath",
            f"{folder} lies in publish.root; say log.path: with a folder outside, or leave it to the journal",
        )
        return
    draft.set("log.path", f"{str(folder).rstrip('/')}/lockstep.log", "LogPath")


def _mail(to: Any, draft: Draft) -> None:
    if not to:
        return
    addresses = ", ".join(to if isinstance(to, list) else [str(to)])
    draft.leave_out(
        "NoticeEmail",
        "fileSyncGo mails through its makers' own service; a mail server of yours is needed under "
        "alerts.channels: "
        f"ops: {{kind: email, to: [{addresses}], from: lockstep@example.com, host: smtp.example.com}}",
    )
