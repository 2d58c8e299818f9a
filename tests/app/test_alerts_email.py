"""Mail against a real SMTP server: STARTTLS, TLS, logins, refusals, silence, and what the mail itself
says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.alerts.channels import ChannelError, make_channel
from app.alerts.channels.email import EmailChannel
from app.alerts.channels.mail import make_mail
from app.alerts.model import Condition, Item, Notice, NoticeKind, Severity
from tests.servers_smtp import (
    PASSWORD,
    USER,
    Certificate,
    Mailbox,
    dripping_server,
    free_port,
    make_certificate,
    silent_server,
    smtp_server,
)

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "mail"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
def plain_port(box: Mailbox) -> Iterator[int]:
    with smtp_server(box) as port:
        yield port


def item(
    name: str = "sh-telecom", summary: str = "rsync: no answer within 3 s", ended: float | None = None
) -> Item:
    return Item(Condition.DEAD, name, Severity.CRITICAL, summary, "Look at the machine.", 1000.0, ended)


def notice(
    identity: str = "n1", kind: NoticeKind = NoticeKind.FIRING, *items: Item, **more: object
) -> Notice:
    values: dict[str, object] = {"incident": identity, "name": "Mirrors", **more}
    return Notice(identity, kind, Condition.DEAD, Severity.CRITICAL, 1240.0, items or (item(),), **values)  # type: ignore[arg-type]


def channel(port: int, **options: object) -> EmailChannel:
    values: dict[str, object] = {
        "kind": "email",
        "to": ["Ops <ops@example.com>", "night@example.com"],
        "from": "Lockstep <lockstep@example.com>",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        **options,
    }
    made = make_channel("ops", values)
    assert isinstance(made, EmailChannel)
    return made


# --- the way there --------------------------------------------------------------------------------


def test_a_mail_arrives_and_the_servers_answer_is_told(box: Mailbox, plain_port: int) -> None:
    delivery = channel(plain_port).send(notice())
    assert delivery.ok
    assert "250 2.0.0 queued as 42" in delivery.detail
    assert "night@example.com" in delivery.detail
    assert box.recipients == [["ops@example.com", "night@example.com"]]


def test_starttls_and_login_work_with_a_certificate_of_ones_own(
    box: Mailbox, certificate: Certificate
) -> None:
    with smtp_server(box, starttls=certificate.context, login=True) as port:
        options = {"security": "starttls", "user": USER, "password": PASSWORD, "ca_file": certificate.cert}
        delivery = channel(port, **options).send(notice())
    assert delivery.ok, delivery.detail
    assert box.encrypted == [True]
    assert box.logins == [USER]


def test_tls_from_the_first_byte_works(box: Mailbox, certificate: Certificate) -> None:
    with smtp_server(box, tls=certificate.context) as port:
        delivery = channel(port, security="tls", ca_file=certificate.cert).send(notice())
    assert delivery.ok, delivery.detail
    assert len(box.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_nobody_vouches_for_is_refused_and_nothing_is_sent(
    box: Mailbox, certificate: Certificate, security: str
) -> None:
    context = {"starttls" if security == "starttls" else "tls": certificate.context}
    with smtp_server(box, **context) as port:  # type: ignore[arg-type]
        delivery = channel(port, security=security, user=USER, password=PASSWORD).send(notice())
    assert not delivery.ok
    assert "certificate that is not trusted" in delivery.detail
    assert box.logins == []


def test_a_server_without_starttls_gets_neither_password_nor_mail(box: Mailbox, plain_port: int) -> None:
    delivery = channel(plain_port, security="starttls", user=USER, password=PASSWORD).send(notice())
    assert not delivery.ok
    assert "check port and security" in delivery.detail
    assert box.mails == []


def test_a_wrong_password_is_said_so_without_saying_it(box: Mailbox, certificate: Certificate) -> None:
    with smtp_server(box, starttls=certificate.context, login=True) as port:
        options = {
            "security": "starttls",
            "user": USER,
            "password": "wrong battery",
            "ca_file": certificate.cert,
        }
        made = channel(port, **options)
        delivery = made.send(notice())
    assert not delivery.ok
    assert not delivery.permanent
    assert "refused the login: 535" in delivery.detail
    assert "wrong battery" not in delivery.detail + repr(made)


def test_a_4xx_answer_is_tried_again_later_and_a_5xx_is_not(box: Mailbox, plain_port: int) -> None:
    box.data_replies = ["451 4.3.0 try again later", "554 5.7.1 spam"]
    later = channel(plain_port).send(notice())
    assert (later.ok, later.permanent) == (False, False)
    assert "451 4.3.0 try again later" in later.detail
    never = channel(plain_port).send(notice())
    assert (never.ok, never.permanent) == (False, True)
    assert channel(plain_port).send(notice()).ok
    assert len(box.mails) == 1


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others(box: Mailbox, plain_port: int) -> None:
    box.refuse = {"night@example.com": "550 5.1.1 no such user"}
    delivery = channel(plain_port).send(notice())
    assert delivery.ok
    assert "refused for night@example.com: 550 5.1.1 no such user" in delivery.detail
    assert box.recipients == [["ops@example.com"]]


@pytest.mark.parametrize(("reply", "permanent"), [("550 no such user", True), ("450 mailbox busy", False)])
def test_when_every_recipient_is_refused_the_code_says_whether_to_try_again(
    box: Mailbox, plain_port: int, reply: str, permanent: bool
) -> None:
    box.refuse = {"night@example.com": reply, "ops@example.com": reply}
    delivery = channel(plain_port).send(notice())
    assert (delivery.ok, delivery.permanent) == (False, permanent)
    assert reply in delivery.detail


def test_a_refused_connection_says_where(box: Mailbox) -> None:
    port = free_port()
    delivery = channel(port).send(notice())
    assert (delivery.ok, delivery.permanent) == (False, False)
    assert f"127.0.0.1:{port}: no connection" in delivery.detail


def test_a_server_that_never_says_a_word_costs_the_limit_and_no_more() -> None:
    with silent_server() as port:
        began = time.monotonic()
        delivery = channel(port, timeout=0.4).send(notice())
    assert "did not finish within 0.4 s" in delivery.detail
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("security", "begin"), [("none", b"220-"), ("tls", b"\x16\x03\x03\x40\x00")])
def test_a_server_that_drips_its_greeting_or_handshake_costs_the_limit_and_no_more(
    security: str, begin: bytes
) -> None:
    with dripping_server(begin) as port:
        began = time.monotonic()
        delivery = channel(port, timeout=0.5, security=security).send(notice())
        assert 0.4 < time.monotonic() - began < 5
    assert "did not finish within 0.5 s" in delivery.detail


def test_a_mail_whose_answer_is_lost_may_have_arrived_and_says_so(box: Mailbox, plain_port: int) -> None:
    box.hang = True
    delivery = channel(plain_port, timeout=0.5).send(notice())
    assert (delivery.ok, delivery.permanent) == (False, False)
    assert "may have arrived" in delivery.detail


@pytest.mark.parametrize(
    "wrong", [{"security": "ssl"}, {"to": []}, {"to": ["nobody"]}, {"from": ""}, {"host": None}]
)
def test_options_that_can_never_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ChannelError):
        channel(25, **wrong)


# --- the mail itself ------------------------------------------------------------------------------


def test_the_subject_says_it_all_and_nobodys_holiday_notice_answers(box: Mailbox, plain_port: int) -> None:
    channel(plain_port).send(notice("n1", NoticeKind.FIRING, *(item(name) for name in "abcde")))
    mail = box.mails[0]
    assert mail["Subject"] == "[Mirrors] 5 nodes dead: a, b, c … and 2 more"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "Lockstep <lockstep@example.com>"
    assert mail["To"] == "Ops <ops@example.com>, night@example.com"
    assert mail["Importance"] == "high"


def test_text_and_html_say_the_same_and_html_escapes(box: Mailbox, plain_port: int) -> None:
    channel(plain_port).send(notice("n1", NoticeKind.FIRING, item("a", "<script>alert(1)</script> & 中文")))
    text = box.mails[0].get_body(("plain",))
    html = box.mails[0].get_body(("html",))
    assert text is not None
    assert html is not None
    assert "<script>alert(1)</script> & 中文" in text.get_content()
    assert "Look at the machine." in text.get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 中文" in html.get_content()
    assert "<script" not in html.get_content()
    assert "Look at the machine." in html.get_content()


def test_all_mails_of_an_incident_are_one_thread(box: Mailbox, plain_port: int) -> None:
    made = channel(plain_port)
    made.send(notice("n1"))
    made.send(notice("n2", NoticeKind.REPEAT, incident="n1", follows=("n1",)))
    made.send(notice("n3", NoticeKind.RESOLVED, item(ended=1240.0), incident="n1", follows=("n1", "n0")))
    first, repeat, end = box.wait_for(3)
    assert first["References"] is None
    assert repeat["References"] == first["Message-ID"] == repeat["In-Reply-To"]
    assert end["References"] == "<n1@example.com> <n0@example.com>"
    assert end["Subject"] == "[Mirrors] Over after 4 min: node sh-telecom dead"
    assert end["Importance"] is None
    assert "Look at the machine." not in str(end.get_body(("plain",)))


def test_a_mail_sent_again_is_the_same_mail() -> None:
    once, again = (make_mail(notice(), "a@example.com", ("b@example.com",), TEMPLATES) for _ in range(2))
    assert once["Message-ID"] == again["Message-ID"]
    assert once["Date"] == again["Date"]


def test_no_name_can_smuggle_a_header_in() -> None:
    crafted = notice("n1", NoticeKind.FIRING, item("a\r\nBcc: all@example.com"), name="M\r\nX-Evil: 1")
    mail = make_mail(crafted, "a@example.com", ("b@example.com",), TEMPLATES)
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert "\n" not in str(mail["Subject"])


def test_a_long_list_is_cut_and_counted() -> None:
    crowd = notice("n1", NoticeKind.FIRING, *(item(f"node-{index}") for index in range(200)))
    mail = make_mail(crowd, "a@example.com", ("b@example.com",), TEMPLATES)
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert "… and 150 more" in part.get_content()
        assert "node-199" not in part.get_content()


def test_a_test_mail_shows_its_own_text(box: Mailbox, plain_port: int) -> None:
    asked = Notice(
        "t",
        NoticeKind.TEST,
        Condition.SYSTEM,
        Severity.INFO,
        1.0,
        (),
        "t",
        (),
        "Mirrors",
        "A test, nothing is wrong.",
    )
    assert channel(plain_port).send(asked).ok
    assert box.mails[0]["Subject"] == "[Mirrors] A test, nothing is wrong."
    assert "A test, nothing is wrong." in str(box.mails[0].get_body(("html",)))
