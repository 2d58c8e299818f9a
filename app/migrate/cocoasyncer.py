"""CocoaSyncer's config.yaml, or the JSON in which it tells its cluster. Facts about it: the file holds one
machine's own settings; nodes, services and accounts stand in its database and in its API's `cocoaBasic`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from app.migrate.draft import Draft
from app.migrate.foreign import Foreign

LINES = {
    "default": "default",
    "CT": "telecom",
    "CU": "unicom",
    "CMCC": "mobile",
    "CNEdu": "edu",
    "OverSea": "oversea",
}
FAMILIES = {"IPV4": (4,), "IPV6": (6,), "BOTH": (4, 6)}
REASONS = {
    "WorkMode": "one supervisor does the work; with a database server a second one stands by (database_url)",
    "CocoaSecret": "the supervisors of one installation share a database, they do not talk to each other",
    "ReverseProxy": "name the proxy's address in web.trusted_proxy",
    "Timeout": "minutes until CocoaSyncer gives a node up; here health.sleep_times and "
    "health.unhealth_tries say it, in seconds",
    "DataBaseType": "its tables are not taken over; SQLite in data_dir, or a database of its own in "
    "database_url",
    "DSN": "its tables are not taken over; SQLite in data_dir, or a database of its own in database_url",
}
OWN = ("createdAt", "updatedAt", "configImported", "StatusCode", "StatusString", "WatchDog")


def recognised(foreign: Foreign) -> bool:
    """Whether it is one of CocoaSyncer's."""
    return foreign.has("NodeCode") or foreign.has("cocoaBasic")


def migrated(foreign: Foreign) -> Draft:
    """The draft of config.yml."""
    draft = Draft("CocoaSyncer")
    base = ("cocoaBasic",) if foreign.has("cocoaBasic") else ()
    _program(foreign, draft, base)
    _accounts(foreign, draft, (*base, "cloudPlatformInfo"))
    count = foreign.count(*base, "otherCocoaSyncer")
    for place in [(*base, "otherCocoaSyncer", i) for i in range(count)] or [base]:
        _node(foreign, draft, place)
    for key in ("NodeName", "NodeCode", "NodeAddress"):  # of this machine, which the list holds too
        foreign.take(*base, key)
    _services(foreign, draft, (*base, "cocoaManagedService"))
    for i in range(count):
        foreign.take(*base, "otherCocoaSyncer", i, "cocoaManagedService")
    for key, value in foreign.left():
        if key.rpartition(".")[2].lower() not in {own.lower() for own in OWN}:
            draft.leave_out(key, "is not known" if "secret" in key.lower() else f"is not known ({value!r})")
    if not count:
        draft.advice.append(
            "This file holds one machine only. The others, the services and the accounts stand in "
            "CocoaSyncer's database: add them "
            "with `flask nodes add`, `flask services add` and `flask providers add`, or migrate the JSON "
            "of its cluster information."
        )
    draft.advice += [
        "CocoaSyncer never looks at content; here a node must take the content by rsync before it is "
        "published: see docs/nodes.md.",
        "The records that CocoaSyncer keeps are somebody else's until they are handed over: `flask dns "
        "adopt SERVICE`.",
    ]
    return draft


def _program(foreign: Foreign, draft: Draft, base: tuple[Any, ...]) -> None:
    draft.set("web.port", foreign.take(*base, "APIPort"), "APIPort")
    for key, reason in REASONS.items():
        if foreign.take(*base, key) not in (None, "", False):
            draft.leave_out(key, reason)
    foreign.take("statusCode")
    foreign.take("statusString")


def _node(foreign: Foreign, draft: Draft, place: tuple[Any, ...]) -> None:
    code = foreign.take(*place, "NodeCode", default="node")
    name = re.sub(r"[^A-Za-z0-9._:-]+", "-", str(code)).strip("-") or "node"
    address = str(foreign.take(*place, "NodeAddress", default=""))
    host = urlsplit(address if "//" in address else f"//{address}").hostname
    for key in ("WorkMode", "CocoaSecret", "StatusCode", "WatchDog"):
        foreign.take(*place, key)
    if not host:
        draft.leave_out(f"node {code}", f"NodeAddress {address!r} names no host")
        return
    node: dict[str, Any] = {"name": name}
    title = foreign.take(*place, "NodeName")
    if title:
        node["title"] = title
    node["host"] = host
    families = FAMILIES.get(str(foreign.take(*place, "NetworkType", default="")).upper())
    if families is not None and len(families) == 1 and not re.fullmatch(r"[0-9.]+|[0-9a-f:]+", host):
        node["addresses"] = [{"hostname": host, "family": families[0]}]
    node["lines"] = _lines_of(foreign.take(*place, "ISPs", default=[]), draft, name)
    if not node["lines"]:
        del node["lines"]
        draft.remarks[f"nodes.{name}.host"] = "no lines: synced, and published only where a service names it"
    draft.values.setdefault("nodes", []).append(node)


def _lines_of(words: list[str], draft: Draft, node: str) -> list[str]:
    lines = []
    for word in words:
        known = {theirs.lower(): ours for theirs, ours in LINES.items()}
        if word.lower() in known:
            lines.append(known[word.lower()])
        elif word.lower() != "none":  # which means: no line
            draft.leave_out(f"{node}: ISPs {word}", "is not one of CocoaSyncer's lines")
    return lines


def _accounts(foreign: Foreign, draft: Draft, place: tuple[Any, ...]) -> None:
    for i in range(foreign.count(*place)):
        name = _provider_name(foreign.take(*place, i, "PlatformProvider", default=""))
        key = str(foreign.take(*place, i, "AccessKey", default=""))
        secret = str(foreign.take(*place, i, "AccessSecret", default=""))
        draft.values.setdefault("dns", {}).setdefault("providers", {})[name] = {
            "kind": "aliyun",  # the only one CocoaSyncer has
            "access_key_id_file": draft.secret(f"{name}.access_key_id", key),
            "access_key_secret_file": draft.secret(f"{name}.access_key_secret", secret),
        }


def _services(foreign: Foreign, draft: Draft, place: tuple[Any, ...]) -> None:
    providers = draft.values.get("dns", {}).get("providers", {})
    for i in range(foreign.count(*place)):
        title = foreign.take(*place, i, "ServiceName", default="")
        zone, record = foreign.take(*place, i, "Domain"), foreign.take(*place, i, "Record", default="@")
        provider = _provider_name(foreign.take(*place, i, "PlatformProvider", default=""))
        if provider not in providers:
            draft.leave_out(
                f"service {record}.{zone}",
                f"its account {provider} is not in the file: `flask providers add`",
            )
            continue
        name = str(zone) if record == "@" else f"{record}.{zone}"
        service = {
            "name": name,
            "provider": provider,
            "zone": zone,
            "record": record,
            "when_none_ready": "hold",
        }
        draft.values["dns"].setdefault("services", []).append(service)
        draft.remarks[f"dns.services.{name}.name"] = str(title)
        draft.remarks[f"dns.services.{name}.when_none_ready"] = (
            "CocoaSyncer never withdraws; lines come from the nodes"
        )


def _provider_name(words: Any) -> str:
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", str(words)).strip("-").lower()
    return text or "aliyun"
