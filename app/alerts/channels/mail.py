"""Makes the mail of a notice: headers, text and HTML from the templates. Sends nothing.

Every mail of an incident refers to the first, so that mail programs show one thread. The Message-ID is
made from the notice, so that a mail sent again after a lost answer is the same mail, and most servers keep
one of the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.alerts.model import Item, Notice, NoticeKind, Severity
from app.alerts.wording import (
    LISTED,
    advice,
    body,
    footer,
    left_out,
    object_of,
    one_line,
    span_of,
    times_of,
    title,
)
from app.sentences import Sentences, sentences

_POLICY = SMTP.clone(cte_type="7bit")


def make_mail(notice: Notice, sender: str, recipients: tuple[str, ...], templates: Path) -> EmailMessage:
    """The finished mail. ``sender`` and ``recipients`` may carry names: ``Ops <ops@example.com>``."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = f"[{one_line(notice.name, 60)}] {title(notice)}"
    mail["From"] = _address(sender)
    mail["To"] = tuple(_address(recipient) for recipient in recipients)
    mail["Date"] = format_datetime(datetime.fromtimestamp(notice.at, UTC))
    mail["Message-ID"] = f"<{notice.id}@{domain}>"
    threads = [
        incident for incident in dict.fromkeys((*notice.follows, notice.incident)) if incident != notice.id
    ]
    if threads:
        mail["In-Reply-To"] = f"<{threads[0]}@{domain}>"
        mail["References"] = " ".join(f"<{incident}@{domain}>" for incident in threads)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Lockstep-Condition"] = notice.condition.value
    mail["X-Lockstep-Kind"] = notice.kind.value
    if notice.severity is Severity.CRITICAL and notice.kind is not NoticeKind.RESOLVED:
        mail["Importance"] = "high"
    values = _values(notice)
    environment = _environment(templates)
    mail.set_content(environment.get_template("alert.txt").render(values))
    mail.add_alternative(environment.get_template("alert.html").render(values), subtype="html")
    return mail


def _address(text: str) -> Address:
    name, spec = parseaddr(text)
    return Address(one_line(name), addr_spec=spec)


def _values(notice: Notice) -> dict[str, object]:
    words = sentences(notice.language)
    return {
        "notice": notice,
        "language": "zh-CN" if notice.language == "zh" else notice.language,
        "title": title(notice),
        "items": [_row(notice, item, words) for item in notice.items[:LISTED]],
        "more": left_out(notice),
        "advice": [] if notice.kind is NoticeKind.RESOLVED else advice(notice),
        "text": body(notice),
        "footer": footer(notice),
    }


def _row(notice: Notice, item: Item, words: Sentences) -> dict[str, str]:
    span = [span_of(item, notice.at, notice.language), times_of(item, notice.language)]
    return {
        "object": one_line(object_of(item, words)),
        "summary": one_line(words.of(item.summary), 500),
        "span": ", ".join(part for part in span if part),
    }


@cache
def _environment(templates: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=select_autoescape(("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
