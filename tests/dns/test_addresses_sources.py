"""Every address source against the real thing: this machine's interfaces, programs, HTTP services on
loopback.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dns.addresses import (
    ADDRESS_SOURCES,
    AddressSource,
    Reported,
    Reports,
    SourceError,
    SourceSpec,
    make_source,
)
from dns.addresses.command import CommandSource
from dns.addresses.hostname import HostnameSource
from dns.addresses.interface import InterfaceSource
from dns.addresses.reported import ReportedSource
from dns.addresses.url import UrlSource
from dns.core.address import canonicals, family_of
from dns.core.interfaces import Found, choose, from_if_inet6, from_ifconfig, from_ip_json
from dns.process import Finished, run_program
from tests.servers_receiver import Receiver, Say, http_receiver

LOOPBACK = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


@pytest.fixture
def services() -> Iterator[list[Receiver]]:
    with http_receiver() as one, http_receiver() as two, http_receiver() as three:
        yield [one, two, three]


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


def gai(errno: int) -> Callable[..., list[tuple[Any, ...]]]:
    def fail(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(errno, "the resolver said so")

    return fail


# --- one contract for all -------------------------------------------------------------------------


def good_spec(kind: str, service: Receiver) -> SourceSpec:
    service.says(b"127.0.0.1\n")
    values: dict[str, tuple[str, ...]] = {
        "static": ("127.0.0.1", "::1"),
        "hostname": ("localhost",),
        "reported": (),
        "url": (service.url,),
        "interface": (LOOPBACK,),
        "command": python("print('127.0.0.1, ::1')"),
    }
    return SourceSpec(kind, "a", values[kind], family=4)


def bad_source(kind: str) -> AddressSource:
    """A source whose world is broken, except static, which has none."""
    broken: dict[str, AddressSource] = {
        "hostname": HostnameSource("a.invalid", lookup=gai(socket.EAI_AGAIN)),
        "reported": make_source(SourceSpec("reported", "nobody")),
        "url": UrlSource(("http://127.0.0.1:1/?token=hidden",), family=4),
        "interface": InterfaceSource("nosuch0"),
        "command": CommandSource("a", ("/nonexistent/program",)),
    }
    return broken[kind]


@pytest.mark.parametrize("kind", sorted(ADDRESS_SOURCES))
def test_every_source_answers_with_canonical_addresses_of_the_asked_family(
    kind: str, services: list[Receiver]
) -> None:
    reports = Reports({"a": Reported(("127.0.0.1", "::1"), 0.0)})
    source = make_source(good_spec(kind, services[0]), reports)
    resolution = source.resolve()
    assert resolution.addresses == canonicals(resolution.addresses)
    assert "127.0.0.1" in resolution.addresses
    assert {family_of(address) for address in resolution.addresses} == {4}
    assert source.kind == kind
    assert kind in source.label


@pytest.mark.parametrize("kind", sorted(set(ADDRESS_SOURCES) - {"static"}))
def test_every_source_fails_with_a_sentence_and_without_an_exception(kind: str) -> None:
    resolution = bad_source(kind).resolve()
    assert not resolution.ok
    assert resolution.unsure == {4, 6}
    assert resolution.reason
    assert "hidden" not in resolution.reason + bad_source(kind).label


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("static", ()),
        ("static", ("www.example.com",)),
        ("hostname", ("not a name",)),
        ("hostname", ()),
        ("reported", ("1.2.3.4",)),
        ("url", ()),
        ("url", ("ftp://example.com",)),
        ("url", ("http://a.example", "http://a.example")),
        ("interface", ("../etc",)),
        ("interface", ("-h",)),
        ("command", ()),
        ("nosuch", ("x",)),
    ],
)
def test_a_value_its_kind_cannot_use_is_refused_before_anything_runs(
    kind: str, values: tuple[str, ...]
) -> None:
    with pytest.raises(SourceError):
        make_source(SourceSpec(kind, "a", values))


# --- hostname -------------------------------------------------------------------------------------


def test_a_host_name_gives_all_its_addresses_of_both_families() -> None:
    assert "127.0.0.1" in HostnameSource("localhost").resolve().addresses


def test_a_family_whose_question_failed_is_unsure_and_the_other_stands() -> None:
    def half(name: str, port: None, *, family: int, type: int) -> list[tuple[Any, ...]]:  # noqa: A002
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(family, type, 6, "", ("192.0.2.7", 0)), (family, type, 6, "", ("192.0.2.3", 0))]

    resolution = HostnameSource("n.example", lookup=half).resolve()
    assert resolution.addresses == ("192.0.2.3", "192.0.2.7")
    assert resolution.unsure == {6}
    assert resolution.reason == "n.example could not be resolved: try again"


def test_a_name_without_ipv6_is_settled_about_it() -> None:
    def four(name: str, port: None, *, family: int, type: int) -> list[tuple[Any, ...]]:  # noqa: A002
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(family, type, 6, "", ("192.0.2.7", 0))]

    assert HostnameSource("n.example", lookup=four).resolve().unsure == frozenset()


def test_a_resolver_that_hangs_is_not_waited_for_and_not_asked_twice() -> None:
    release, calls = threading.Event(), []

    def hang(name: str, port: None, *, family: int, type: int) -> list[tuple[Any, ...]]:  # noqa: A002
        calls.append(family)
        release.wait(30)
        return [(family, type, 6, "", ("192.0.2.7", 0))]

    source = HostnameSource("slow.example", family=4, timeout_seconds=0.05, lookup=hang)
    try:
        first, second = source.resolve(), source.resolve()
        assert "did not answer for slow.example within 0.05 s" in str(first.reason)
        assert not second.ok
        assert len(calls) == 1
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("lookup-slow"):
            thread.join(10)
    assert source.resolve().addresses == ("192.0.2.7",)


# --- reported -------------------------------------------------------------------------------------


def test_a_report_says_whether_anything_changed_and_stands_until_the_next() -> None:
    reports = Reports()
    assert reports.put("a", ["192.0.2.1"], 1.0)
    assert not reports.put("a", [" 192.0.2.1 "], 2.0)
    assert reports.put("a", ["192.0.2.2", "2001:db8::2"], 3.0)
    source = ReportedSource("a", reports, family=6)
    assert source.resolve().addresses == ("2001:db8::2",)
    assert reports.last("a") == Reported(("192.0.2.2", "2001:db8::2"), 3.0)
    reports.forget("a")
    assert not source.resolve().ok


def test_a_report_of_garbage_changes_nothing() -> None:
    reports = Reports({"a": Reported(("192.0.2.1",), 1.0)})
    for garbage in (["192.0.2.9", "nonsense"], []):
        with pytest.raises(ValueError):
            reports.put("a", garbage, 2.0)
    assert reports.last("a") == Reported(("192.0.2.1",), 1.0)


def test_a_report_too_old_is_a_failure_where_an_age_is_set() -> None:
    reports = Reports({"a": Reported(("192.0.2.1",), 1.0)})
    old = ReportedSource("a", reports, max_age_seconds=60, clock=lambda: 100.0)
    assert "last reported 99 s ago" in str(old.resolve().reason)


# --- url ------------------------------------------------------------------------------------------


def urls(services: list[Receiver]) -> tuple[str, ...]:
    return tuple(service.url for service in services)


def test_garbage_errors_and_strangers_go_on_to_the_next_service(services: list[Receiver]) -> None:
    services[0].says(b"<html>your address is 8.8.8.8</html>")
    services[1].says(Say(b"8.8.4.4", status=503))
    services[2].says(b" 8.8.8.8\r\n")
    only_one = UrlSource((services[2].url,), family=4)
    assert only_one.resolve().addresses == ("8.8.8.8",)
    resolution = UrlSource(urls(services), family=4).resolve()
    assert not resolution.ok
    assert "only one service answered (8.8.8.8), two must agree" in str(resolution.reason)
    assert "status 503" in str(resolution.reason)
    assert "something else than an address" in str(resolution.reason)


def test_two_services_must_agree_and_the_third_settles_it(services: list[Receiver]) -> None:
    services[0].says(b"8.8.8.8")
    services[1].says(b"1.1.1.1")
    services[2].says(b"8.8.8.8")
    assert UrlSource(urls(services), family=4).resolve().addresses == ("8.8.8.8",)
    services[2].says(b"9.9.9.9")
    assert "disagree" in str(UrlSource(urls(services), family=4).resolve().reason)


def test_services_that_agree_at_once_spare_the_third(services: list[Receiver]) -> None:
    for service in services:
        service.says(b"8.8.8.8")
    assert UrlSource(urls(services), family=4).resolve().addresses == ("8.8.8.8",)
    assert services[2].asked == []


@pytest.mark.parametrize("say", [Say(hang=True), Say(b"8.8.8.8" + b" " * 4000, drip_seconds=0.05)])
def test_a_service_that_hangs_or_drips_costs_its_limit_and_no_more(
    services: list[Receiver], say: Say
) -> None:
    services[0].says(say)
    began = time.monotonic()
    resolution = UrlSource((services[0].url,), family=4, timeout_seconds=0.4).resolve()
    assert "did not answer within 0.4 s" in str(resolution.reason)
    assert time.monotonic() - began < 5


def test_an_answer_that_is_too_long_is_no_address(services: list[Receiver]) -> None:
    services[0].says(b" " * 5000 + b"8.8.8.8")
    assert not UrlSource((services[0].url,), family=4).resolve().ok


def test_an_answer_of_the_other_family_is_passed_over(services: list[Receiver]) -> None:
    services[0].says(b"2400:3200::1")
    assert "wrong family" in str(UrlSource((services[0].url,), family=4).resolve().reason)


def test_the_family_decides_the_way_out() -> None:
    with http_receiver("::1") as six, http_receiver() as four:
        six.says(b"2400:3200::1")
        four.says(b"8.8.8.8")
        assert UrlSource((six.url,), family=6).resolve().addresses == ("2400:3200::1",)
        assert six.asked[0].client == "::1"
        assert not UrlSource((four.url,), family=6, timeout_seconds=1).resolve().ok
        assert four.asked == []
        both = UrlSource((four.url,)).resolve()
        assert both.addresses == ("8.8.8.8",)
        assert both.unsure == {6}


def test_no_proxy_of_the_environment_is_used(
    services: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", services[1].url)
    monkeypatch.setenv("HTTP_PROXY", services[1].url)
    services[0].says(b"8.8.8.8")
    assert UrlSource((services[0].url,), family=4).resolve().ok
    assert services[1].asked == []


def test_the_token_of_a_service_stands_in_no_log(
    services: list[Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    services[0].says(b"8.8.8.8")
    with caplog.at_level("DEBUG"):
        UrlSource((f"{services[0].url}/?token=hidden",), family=4).resolve()
    assert services[0].asked[0].path == "/?token=hidden"
    assert "hidden" not in caplog.text


# --- interface ------------------------------------------------------------------------------------


def test_the_loopback_interface_has_its_address_by_every_way_of_asking() -> None:
    source = InterfaceSource(LOOPBACK, family=4)
    assert "127.0.0.1" in source.resolve().addresses

    def none(argv: object, _seconds: float) -> Finished:
        return Finished(None, b"", b"", 0.0, "not there")

    assert "127.0.0.1" in InterfaceSource(LOOPBACK, family=4, run=none).resolve().addresses
    printed = run_program(("ifconfig", LOOPBACK), timeout_seconds=5, output_bytes=65536)
    if printed.ok:
        assert Found("127.0.0.1") in from_ifconfig(printed.output.decode())


def test_an_interface_that_is_missing_names_those_there_are() -> None:
    reason = InterfaceSource("nosuch0").resolve().reason
    assert reason is not None
    assert LOOPBACK in reason


def test_a_regular_expression_chooses_and_says_when_nothing_fits() -> None:
    assert InterfaceSource(LOOPBACK, match=r"^127\.").resolve().addresses == ("127.0.0.1",)
    assert "matching '^10'" in str(InterfaceSource(LOOPBACK, match="^10").resolve().reason)
    with pytest.raises(SourceError, match="regular expression"):
        make_source(SourceSpec("interface", "a", (LOOPBACK,), match="("))


def test_temporary_tentative_and_link_local_addresses_are_not_told() -> None:
    found = from_ip_json(
        '[{"ifname":"eth0","addr_info":['
        '{"family":"inet","local":"192.0.2.4"},'
        '{"family":"inet6","local":"fe80::1"},'
        '{"family":"inet6","local":"2400:3200::5","temporary":true},'
        '{"family":"inet6","local":"2400:3200::6","deprecated":true},'
        '{"family":"inet6","local":"2400:3200::7","tentative":true},'
        '{"family":"inet6","local":"2400:3200::8"}]}]'
    )
    assert choose(found, None, None) == ("192.0.2.4", "2400:3200::8")
    assert choose(found[:3], 6, None) == ("2400:3200::5",)


def test_the_kernels_list_and_ifconfig_are_read_with_their_flags() -> None:
    lines = (
        "24003200000000000000000000000005 02 40 00 01     eth0\n"
        "24003200000000000000000000000006 02 40 00 20     eth0\n"
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    assert from_if_inet6(lines, "eth0") == (
        Found("2400:3200::5", temporary=True),
        Found("2400:3200::6", usable=False),
    )
    darwin = (
        "en0: flags=8863<UP> mtu 1500\n\tinet6 fe80::1%en0 prefixlen 64 secured scopeid 0x4\n"
        "\tinet6 2400:3200::5 prefixlen 64 autoconf temporary\n"
        "\tinet 192.0.2.9 netmask 0xffffff00 broadcast 1\n"
    )
    assert from_ifconfig(darwin) == (
        Found("fe80::1"),
        Found("2400:3200::5", temporary=True),
        Found("192.0.2.9"),
    )


# --- command --------------------------------------------------------------------------------------


def test_a_program_prints_addresses_and_learns_whose_they_are() -> None:
    code = "import os; assert os.environ['LOCKSTEP_NODE'] == 'a'; print('192.0.2.1,2001:db8::1\\n192.0.2.1')"
    assert CommandSource("a", python(code)).resolve().addresses == ("192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "printed nothing"),
        ("print('192.0.2.1 oops')", "something else than addresses"),
        ("import sys; print('why', file=sys.stderr); sys.exit(3)", "status 3: why"),
        ("print('192.0.2.1 ' * 5000)", "more than 16384 bytes"),
    ],
)
def test_a_program_that_errs_or_prints_garbage_is_a_failure(code: str, said: str) -> None:
    assert said in str(CommandSource("a", python(code)).resolve().reason)


def test_a_program_that_hangs_ends_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child"
    script = f"sleep 600 & echo $! > {note}; trap '' TERM; while :; do sleep 600; done"
    source = CommandSource("a", ("/bin/sh", "-c", script), timeout_seconds=0.5)
    assert "did not end within 0.5 s" in str(source.resolve().reason)
    child = int(note.read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(child):
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie waiting for a parent that never asks."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_program_that_ignores_its_input_or_floods_its_output_makes_nobody_wait() -> None:
    ended = run_program(python("print('x' * 3_000_000)"), timeout_seconds=20, stdin=b"y" * 3_000_000)
    assert ended.ok
    assert ended.output == b"x" * 4096


def test_a_program_is_ended_when_the_service_stops() -> None:
    stop = threading.Event()
    stop.set()
    ended = run_program(("/bin/sleep", "600"), timeout_seconds=60, stop=stop)
    assert ended.code is None
    assert "service stops" in str(ended.trouble)
