"""ddns-go's .ddns_go_config.yaml. Facts about it: its keys are Go's field names in lower case; before 5.0 one provider
stood at the top level; a domain is `sub.example.com`, or `sub:example.co.uk` where the zone must be told; behind a ?
stand parameters for the provider; it only ever updates, and never withdraws.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from app.migrate.draft import Draft
from app.migrate.foreign import Foreign

SUFFIXES = {
    *(
        "com.cn",
        "net.cn",
        "org.cn",
        "gov.cn",
        "edu.cn",
        "ac.cn",
        "com.hk",
        "net.hk",
        "org.hk",
        "com.tw",
        "org.tw",
    ),
    *(
        "co.uk",
        "org.uk",
        "me.uk",
        "co.jp",
        "ne.jp",
        "or.jp",
        "co.kr",
        "co.nz",
        "co.za",
        "com.au",
        "net.au",
        "org.au",
    ),
    *("com.br", "com.sg", "com.my", "com.mx", "co.in", "co.id", "eu.org"),
}
"""Endings of two labels under which a zone has three; a list of all is far longer, hence the remark on zones."""

NODE = "this-machine"

KEYS = {
    "alidns": ("aliyun", ("access_key_id", "access_key_secret")),
    "tencentcloud": ("dnspod", ("secret_id", "secret_key")),
    "cloudflare": ("cloudflare", (None, "token")),
}
"""Our kind, and what its ID and Secret are called here."""

NO_KIND = {
    "dnspod": "is the old token API; make a key for Tencent Cloud's API and use kind: dnspod",
    "callback": "needs a way to withdraw, which ddns-go's callback has not: use kind: callback with "
    "#{action}, or withdraw:",
}


def recognised(foreign: Foreign) -> bool:
    """Whether it is one of ddns-go's."""
    return foreign.has("dnsconf") or (foreign.has("ipv4") and foreign.has("dns"))


def migrated(foreign: Foreign) -> Draft:
    """The draft of config.yml."""
    draft = Draft("ddns-go")
    places: list[tuple[Any, ...]] = [("dnsconf", i) for i in range(foreign.count("dnsconf"))]
    places = places or [()]
    for number, place in enumerate(places, 1):
        _Entry(foreign, draft, place, number).migrate()
    _webhook(foreign, draft)
    _around(foreign, draft)
    for key, value in foreign.left():
        hidden = re.search(r"secret|password|\.id$|extparam", key, re.IGNORECASE)
        draft.leave_out(key, "is not known" if hidden else f"is not known ({value!r})")
    draft.advice += [
        "ddns-go publishes the machine it runs on; here that is a node, which must take the content by "
        "rsync: see docs/nodes.md, "
        "and correct host: where rsync does not reach it.",
        "The records that ddns-go made are somebody else's until they are handed over: `flask dns adopt "
        "SERVICE`, or adopt: true.",
        "A node in step is what is published: without content to sync, ddns-go remains the simpler tool.",
    ]
    return draft


class _Entry:
    """One entry of dnsconf: a provider, a node and the services that point to it."""

    def __init__(self, foreign: Foreign, draft: Draft, place: tuple[Any, ...], number: int) -> None:
        self.foreign, self.draft, self.place = foreign, draft, place
        self.key = ".".join(map(str, place)) or "the file"
        given = re.sub(r"[^A-Za-z0-9._-]+", "-", str(self.take("name", default=""))).strip("-")
        self.name = given or (f"ddns-go-{number}" if number > 1 else "ddns-go")

    def take(self, *path: Any, default: Any = None) -> Any:
        return self.foreign.take(*self.place, *path, default=default)

    def migrate(self) -> None:
        """Takes every key of the entry."""
        program = str(self.take("dns", "name", default="")).lower()
        addresses, families = self._addresses()
        domains = self._domains(families)
        if not self._provider(program):
            for domain in domains:
                self.draft.leave_out(
                    f"{self.key}: {domain}", "its provider has no counterpart, so it is no service"
                )
            return
        if addresses:
            self._node(addresses)
        ttl = self._ttl(program)
        for domain, types in domains.items():
            self._service(domain, types, ttl)

    def _node(self, addresses: list[dict[str, Any]]) -> None:
        """All entries of ddns-go are about one machine, so there is one node; a family has the source named first."""
        nodes = self.draft.values.setdefault("nodes", [{"name": NODE, "host": "127.0.0.1", "addresses": []}])
        self.draft.remarks[f"nodes.{NODE}.host"] = "where its rsync daemon is"
        known = nodes[0]["addresses"]
        for address in addresses:
            if all(each["family"] != address["family"] for each in known):
                known.append(address)
            elif address not in known:
                said = f"ipv{address['family']} from {next(iter(address))}"
                reason = (
                    "the node has another source for it; addresses: takes several, all of them are published"
                )
                self.draft.leave_out(f"{self.key}.{said}", reason)

    def _addresses(self) -> tuple[list[dict[str, Any]], dict[str, bool]]:
        found: list[dict[str, Any]] = []
        on: dict[str, bool] = {}
        for family, number in (("ipv4", 4), ("ipv6", 6)):
            enabled = bool(self.take(family, "enable", default=False))
            kind = str(self.take(family, "gettype", default="url"))
            entry = self._address(family, kind, number)
            on[family] = enabled and entry is not None
            if on[family] and entry is not None:
                found.append(entry)
        return found, on

    def _address(self, family: str, kind: str, number: int) -> dict[str, Any] | None:
        url, device, command = (self.take(family, key) for key in ("url", "netinterface", "cmd"))
        pattern = self.take(family, "ipv6reg")
        if kind == "netInterface" and device:
            entry: dict[str, Any] = {"interface": device, "family": number}
            if pattern and re.fullmatch(r"@\d+", str(pattern)):
                self.draft.leave_out(
                    f"{self.key}.ipv6.ipv6reg {pattern}",
                    "the n-th address has no counterpart; match: is a pattern",
                )
            elif pattern:
                entry["match"] = pattern
            return entry
        if kind == "cmd" and command:
            return {"command": ["sh", "-c", command], "family": number}
        if kind == "url" and url:
            return {"url": [part.strip() for part in str(url).split(",") if part.strip()], "family": number}
        return None

    def _domains(self, families: dict[str, bool]) -> dict[str, list[str]]:
        """Each domain with the types it is published with; those of a family that is switched off are left out."""
        found: dict[str, list[str]] = {}
        for family, record in (("ipv4", "A"), ("ipv6", "AAAA")):
            for domain in self.take(family, "domains", default=[]):
                if families[family]:
                    found.setdefault(str(domain), []).append(record)
                elif domain:
                    self.draft.leave_out(
                        f"{self.key}.{family}.domains {domain}", f"{family} is not switched on there"
                    )
        return found

    def _provider(self, program: str) -> bool:
        account, secret = self.take("dns", "id", default=""), self.take("dns", "secret", default="")
        if program not in KEYS:
            reason = NO_KIND.get(program, "this provider has no counterpart; kind: callback reaches any URL")
            self.draft.leave_out(f"{self.key}.dns {program or '(none)'}", reason)
            return False
        kind, keys = KEYS[program]
        entry: dict[str, Any] = {"kind": kind}
        for key, value in zip(keys, (account, secret), strict=True):
            if key is not None:
                entry[f"{key}_file"] = self.draft.secret(f"{self.name}.{key}", str(value))
        self.draft.values.setdefault("dns", {}).setdefault("providers", {})[self.name] = entry
        return True

    def _ttl(self, program: str) -> int | None:
        given = str(self.take("ttl", default="")).strip()
        if not given:
            return None
        if given.isdigit() and not (program == "cloudflare" and given == "1"):
            return int(given)
        self.draft.leave_out(
            f"{self.key}.ttl {given}", "is no number of seconds here; the default of 600 holds"
        )
        return None

    def _service(self, domain: str, types: list[str], ttl: int | None) -> None:
        name, _, query = domain.partition("?")
        record, zone = split(name)
        parameters = dict(parse_qsl(query))
        line = next(
            (parameters.pop(key) for key in list(parameters) if key.lower() in ("line", "recordline")), None
        )
        for key, value in parameters.items():
            self.draft.leave_out(
                f"{self.key}: {name}?{key}={value}", "providers take no parameters of their own"
            )
        service: dict[str, Any] = {
            "name": zone if record == "@" else f"{record}.{zone}".replace("*", "any"),
            "provider": self.name,
            "zone": zone,
            "record": record,
            "types": types,
        }
        if ttl is not None:
            service["ttl"] = ttl
        service["lines"] = {line or "default": {"nodes": [NODE]}}
        service["when_none_ready"] = "hold"
        services = self.draft.values.setdefault("dns", {}).setdefault("services", [])
        same = [s for s in services if s["name"].partition("-line-")[0] == service["name"]]
        if same:
            service["name"] += f"-line-{line or 'default'}"
        services.append(service)
        self.draft.remarks[f"dns.services.{service['name']}.when_none_ready"] = "ddns-go never withdraws"
        if ":" not in name:
            self.draft.remarks[f"dns.services.{service['name']}.zone"] = (
                "taken from the name: correct it if it is another"
            )


def split(domain: str) -> tuple[str, str]:
    """The record and its zone: of ``sub:zone`` as told, else by the last two labels, or three under a known suffix."""
    if ":" in domain:
        record, _, zone = domain.partition(":")
        return record or "@", zone
    labels = domain.split(".")
    length = 3 if ".".join(labels[-2:]) in SUFFIXES else 2
    return ".".join(labels[:-length]) or "@", ".".join(labels[-length:])


TELLS_A_SECRET = re.compile(r"auth|token|key|secret|cookie|pass|sign", re.IGNORECASE)


def _webhook(foreign: Foreign, draft: Draft) -> None:
    url = foreign.take("webhook", "webhookurl", default="")
    body = foreign.take("webhook", "webhookrequestbody", default="")
    headers = str(foreign.take("webhook", "webhookheaders", default=""))
    if not url:
        return
    channel: dict[str, Any] = {"kind": "webhook", "url_file": draft.secret("webhook.url", str(url))}
    channel["method"] = "POST" if body else "GET"
    if body:
        channel["body_file"] = draft.secret("webhook.body", str(body))
    pairs = (line.partition(":") for line in headers.splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, _, value in pairs}
    plain = {name: value for name, value in found.items() if not TELLS_A_SECRET.search(name)}
    for name in found.keys() - plain.keys():
        draft.leave_out(
            f"webhook.webhookheaders {name}",
            "may be a secret: set it yourself under headers, best as ${VARIABLE}",
        )
    if plain:
        channel["headers"] = plain
    draft.values.setdefault("alerts", {})["channels"] = {"webhook": channel}
    draft.values["alerts"]["routes"] = {"default": ["webhook"]}
    draft.remarks["alerts.channels.webhook"] = (
        "ddns-go tells every update; here it is told of what goes wrong"
    )


def _around(foreign: Foreign, draft: Draft) -> None:
    language = str(foreign.take("lang", default="")).lower()
    if language:
        draft.set("web.language", "zh" if language.startswith("zh") else "en")
    if foreign.take("notallowwanaccess") is not None:
        draft.leave_out(
            "notallowwanaccess", "the pages listen on web.host, 127.0.0.1 unless you say otherwise"
        )
    if any([foreign.take("user", "username"), foreign.take("user", "password")]):
        draft.leave_out("user", "make a user with `flask user add NAME`; the password cannot be carried over")
