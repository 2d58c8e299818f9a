"""Fills ``#{name}`` in a webhook's URL and body from a notice. Leaves alone what it does not know.

Beside Lockstep's own words it understands ddns-go's, so that bodies can be taken over from there. Values
are escaped for where they stand: percent-encoded in a URL, escaped inside a JSON text, form-encoded
elsewhere on request.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from app.alerts.model import Notice, NoticeKind
from app.alerts.wording import body, title

_VARIABLE = re.compile(r"#\{(\w+)\}")

# ddns-go's words for a result; it knows no others (README, "Webhook")
_DDNS_GO_RESULT = {NoticeKind.RESOLVED: "成功", NoticeKind.TEST: "未改变"}


def variables(notice: Notice) -> dict[str, str]:
    """Every variable with its value for this notice."""
    names = ",".join(item.object for item in notice.items)
    own = {
        "title": title(notice),
        "text": body(notice),
        "kind": notice.kind.value,
        "condition": notice.condition.value,
        "severity": notice.severity.value,
        "objects": names,
        "count": str(len(notice.items)),
        "incident": notice.incident,
        "id": notice.id,
        "at": f"{notice.at:.0f}",
        "name": notice.name,
    }
    facts = {key: value for item in notice.items[:1] for key, value in item.facts.items()}
    return facts | _of_ddns_go(notice, names) | own


def fill(template: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """The template with its variables replaced by escaped values."""
    return _VARIABLE.sub(lambda found: escape(values[found[1]]) if found[1] in values else found[0], template)


def in_url(value: str) -> str:
    """The value for a place inside a URL."""
    return quote(value, safe="")


def in_json(value: str) -> str:
    """The value for a place inside a JSON text."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _of_ddns_go(notice: Notice, names: str) -> dict[str, str]:
    addresses = [word for item in notice.items for word in item.facts.get("addresses", "").split(",")]
    domains = (
        ",".join(dict.fromkeys(i.facts["service"] for i in notice.items if "service" in i.facts)) or names
    )
    result = _DDNS_GO_RESULT.get(notice.kind, "失败")
    found = {
        4: [one for one in addresses if _version(one) == 4],
        6: [one for one in addresses if _version(one) == 6],
    }
    values: dict[str, str] = {}
    for family, listed in found.items():
        values[f"ipv{family}Addr"] = ",".join(dict.fromkeys(listed))
        values[f"ipv{family}Result"] = result
        values[f"ipv{family}Domains"] = domains
    return values


def _version(text: str) -> int | None:
    try:
        return ipaddress.ip_address(text.strip()).version
    except ValueError:
        return None
