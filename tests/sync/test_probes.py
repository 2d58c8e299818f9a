"""The probes against real listeners on loopback: what is good, what is not, and the words for it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sync.probes import PROBES, CannotObserve, ProbeSpec, ProbeTarget, make_probe
from sync.probes.connection import Deadline, connect, describe, resolve
from sync.probes.http import filled
from sync.probes.ping import NOT_PERMITTED_4, NOT_PERMITTED_6, Ping
from tests.servers_rsync import Daemon, Sshd, daemon, daemons, ssh_server  # noqa: F401 - fixtures
from tests.servers_talk import Talker, talk  # noqa: F401 - a fixture

Talk = Callable[..., Talker]
PATIENT = 20.0
BRIEF = 0.2


def target(port: int, host: str = "127.0.0.1", transport: str = "daemon") -> ProbeTarget:
    return ProbeTarget("a", host, port=port, transport=transport)


@pytest.fixture
def refused() -> Iterator[int]:
    """A port that refuses: it is bound, so that nobody else takes it, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def spec(kind: str, timeout: float = PATIENT, **more: object) -> ProbeSpec:
    if kind == "http":
        more.setdefault("url", f"http://{{host}}:{more.pop('at', 1)}/healthz")
    return ProbeSpec(kind, timeout, **more)  # type: ignore[arg-type]


# ── every TCP probe ──────────────────────────────────────────────────────────────────────────────────────

GREETING = {
    "tcp": b"",
    "rsync": b"@RSYNCD: 32.0 sha512 sha256\n",
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}
TCP_KINDS = sorted(GREETING)


@pytest.mark.parametrize("kind", TCP_KINDS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_that_answers_is_good_and_its_round_trip_is_known(kind: str, host: str, talk: Talk) -> None:  # noqa: F811
    server = talk(GREETING[kind], hear=kind == "http", host="::1" if host == "::1" else "127.0.0.1")
    probe = make_probe(spec(kind, at=server.port) if kind == "http" else spec(kind))
    result = probe.probe(target(server.port, host))
    assert (result.kind, result.good, result.detail) == (kind, True, "")
    assert result.rtt_seconds is not None
    assert 0 <= result.rtt_seconds < PATIENT


@pytest.mark.parametrize("kind", TCP_KINDS)
def test_a_refused_connection_is_named(kind: str, refused: int) -> None:
    probe = make_probe(spec(kind, at=refused) if kind == "http" else spec(kind))
    result = probe.probe(target(refused))
    assert (result.good, result.rtt_seconds) == (False, None)
    assert result.detail == f"connection refused (127.0.0.1:{refused})"


@pytest.mark.parametrize("kind", TCP_KINDS)
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64])
def test_a_name_that_is_none_is_a_failure_and_no_exception(kind: str, host: str) -> None:
    result = make_probe(spec(kind)).probe(target(1, host))
    assert result.good is False
    assert result.detail


@pytest.mark.parametrize("kind", ["rsync", "http"])
def test_a_server_that_accepts_and_says_nothing_fails_when_the_time_is_up(kind: str, talk: Talk) -> None:  # noqa: F811
    server = talk()
    probe = make_probe(spec(kind, BRIEF, at=server.port) if kind == "http" else spec(kind, BRIEF))
    began = time.monotonic()
    result = probe.probe(target(server.port))
    assert BRIEF * 0.9 <= time.monotonic() - began < PATIENT / 2
    assert result.good is False
    assert f"in {BRIEF:g} s (127.0.0.1:{server.port})" in result.detail


@pytest.mark.parametrize("kind", ["rsync", "http"])
def test_a_server_that_speaks_a_byte_at_a_time_does_not_hold_the_probe(kind: str, talk: Talk) -> None:  # noqa: F811
    words = b"@RSYNCD:" if kind == "rsync" else b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 500
    server = talk(words, pause_seconds=0.05)
    probe = make_probe(spec(kind, 2 * BRIEF, at=server.port) if kind == "http" else spec(kind, 2 * BRIEF))
    began = time.monotonic()
    assert probe.probe(target(server.port)).good is False
    assert time.monotonic() - began < PATIENT / 2


def test_running_out_of_files_here_is_no_failure_of_the_node() -> None:
    with pytest.raises(CannotObserve, match="Too many open files on this machine"):
        describe(OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "x:1", 1)


@pytest.mark.parametrize("kind", [*TCP_KINDS, "ping"])
def test_running_out_of_files_for_real_is_no_failure_of_the_node(kind: str, talk: Talk) -> None:  # noqa: F811
    import resource

    server = talk()
    probe = make_probe(spec(kind, BRIEF, at=server.port) if kind == "http" else spec(kind, BRIEF))
    if kind == "http":
        probe.probe(target(server.port))  # certificates are read at the first use
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with pytest.raises(CannotObserve):
            probe.probe(target(server.port))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("kind", sorted(PROBES))
def test_no_probe_leaves_a_file_or_a_thread_behind(kind: str, talk: Talk, refused: int) -> None:  # noqa: F811
    silent, closing = talk(), talk(b"x", hang_up=True)
    ports = (silent.port, closing.port, refused)
    probes = [make_probe(spec(kind, BRIEF, at=p) if kind == "http" else spec(kind, BRIEF)) for p in ports]
    probes[1].probe(target(ports[1]))
    threads = set(threading.enumerate()) - {t for t in threading.enumerate() if t.name.startswith("talker")}
    files = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set()
    for probe, port in zip(probes, ports, strict=True):
        for host in ("127.0.0.1", "no-such-host.invalid"):
            probe.probe(target(port, host))
    silent.stop()
    closing.stop()
    assert {t for t in threading.enumerate() if not t.name.startswith("talker")} == threads
    left = set(os.listdir("/proc/self/fd")) if files else set()
    assert len(left) <= len(files)


def test_twenty_nodes_are_asked_at_once_without_mixing_their_answers(talk: Talk, refused: int) -> None:  # noqa: F811
    """Every raw socket sees the answers to all pings of the machine."""
    server = talk(GREETING["rsync"])
    probes = [make_probe(spec("rsync")), make_probe(spec("ping", 1))]

    def ask_one(i: int) -> tuple[bool | None, bool | None]:
        there = target(server.port if i % 2 else refused)
        unreachable = target(0, "127.0.0.1" if i % 2 else "240.0.0.1")
        return probes[0].probe(there).good, probes[1].probe(unreachable).good

    with ThreadPoolExecutor(20, thread_name_prefix="probing") as pool:
        answers = list(pool.map(ask_one, range(20)))
    assert [a for a, _ in answers] == [bool(i % 2) for i in range(20)]
    if os.geteuid() == 0:
        assert [b for _, b in answers] == [bool(i % 2) for i in range(20)]


def test_several_addresses_of_a_name_share_the_time(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:  # noqa: F811
    """Patched, because the machine's resolver cannot be made to know such a name."""
    server = talk()
    monkeypatch.setattr("sync.probes.connection.resolve", lambda host, port: ["127.0.0.2", "127.0.0.1"])
    connect("x", server.port, Deadline.after(PATIENT, time.monotonic)).close()


def test_resolving_gives_addresses_each_once() -> None:
    assert resolve("127.0.0.1") == ["127.0.0.1"]
    assert resolve("::1", 80) == ["::1"]
    assert len(set(resolve("localhost"))) == len(resolve("localhost"))


# ── rsync ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_real_rsync_daemon_is_good_until_it_is_stopped_killed_or_hangs(daemon: Daemon) -> None:  # noqa: F811
    there = target(daemon.port)
    assert make_probe(spec("rsync")).probe(there).good
    daemon.sigstop()
    hanging = make_probe(spec("rsync", BRIEF)).probe(there)
    assert hanging.good is False
    assert hanging.detail.startswith("no greeting in 0.2 s")
    daemon.sigcont()
    assert make_probe(spec("rsync")).probe(there).good
    daemon.kill()
    assert "refused" in make_probe(spec("rsync")).probe(there).detail


def test_a_node_over_ssh_is_asked_for_the_banner_of_a_real_sshd(ssh_server: Sshd) -> None:  # noqa: F811
    probe = make_probe(spec("rsync"))
    assert probe.probe(target(ssh_server.port, transport="ssh")).good
    wrong = probe.probe(target(ssh_server.port))
    assert wrong.good is False
    assert "instead came: SSH-2.0-" in wrong.detail


def test_lines_before_the_ssh_banner_are_allowed(talk: Talk) -> None:  # noqa: F811
    server = talk(b"Welcome\r\nto this host\r\nSSH-2.0-x\r\n")
    assert make_probe(spec("rsync")).probe(target(server.port, transport="ssh")).good
    assert make_probe(spec("rsync", BRIEF)).probe(target(server.port)).good is False


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "instead came: HTTP/1.1 400 Bad Request ("),
        (b"\x16\x03\x01\x00", "instead came: ????"),
        (b"@RSYNCX\n", "instead came: @RSYNCX"),
        (b"", "closed without a greeting"),
        (b"y" * 10_000, "instead came: " + "y" * 60 + " ("),
    ],
)
def test_what_came_in_place_of_the_greeting_is_said(said: bytes, shown: str, talk: Talk) -> None:  # noqa: F811
    server = talk(said, hang_up=True)
    result = make_probe(spec("rsync")).probe(target(server.port))
    assert result.good is False
    assert shown in result.detail
    assert result.detail.isprintable()


def test_a_configured_port_goes_over_the_targets(talk: Talk, refused: int) -> None:  # noqa: F811
    server = talk(GREETING["rsync"])
    for kind in ("tcp", "rsync"):
        assert make_probe(spec(kind, port=server.port)).probe(target(refused)).good


# ── http ─────────────────────────────────────────────────────────────────────────────────────────────────


def reply(status: int = 200, body: bytes = b"", headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + headers + b"\r\n" + body


def ask(server: Talker, timeout: float = PATIENT, **more: object) -> tuple[bool | None, str]:
    url = more.pop("url", f"http://{{host}}:{server.port}/healthz")
    result = make_probe(ProbeSpec("http", timeout, url=url, **more)).probe(target(1, server.host))  # type: ignore[arg-type]
    return result.good, result.detail


def test_status_and_content_are_looked_at(talk: Talk) -> None:  # noqa: F811
    good = talk(reply(body=b"all is w\xc3\xb6ll"), hear=True)
    assert ask(good, contains="wöll") == (True, "")
    assert ask(good, contains="ill")[1].startswith("the content does not hold 'ill'")
    sick = talk(reply(503, b"no"), hear=True)
    assert ask(sick)[1] == f"status 503; wanted 200 (127.0.0.1:{sick.port})"
    assert ask(sick, status=(200, 503)) == (True, "")


def test_a_redirect_is_not_followed(talk: Talk) -> None:  # noqa: F811
    elsewhere = talk(reply(), hear=True)
    location = b"Location: http://127.0.0.1:%d/\r\n" % elsewhere.port
    server = talk(reply(302, headers=location), hear=True)
    assert ask(server)[1].startswith("status 302, a redirect, which is not followed; wanted 200")
    assert ask(server, status=(302,)) == (True, "")
    assert elsewhere.heard == []


def test_no_proxy_is_taken_from_the_environment(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    proxy, server = talk(reply(502), hear=True), talk(reply(), hear=True)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert ask(server) == (True, "")
    assert proxy.heard == []


def test_only_the_beginning_of_an_endless_answer_is_read(talk: Talk) -> None:  # noqa: F811
    endless = talk(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000, hear=True)
    began = time.monotonic()
    assert ask(endless, contains="never")[0] is False
    assert time.monotonic() - began < PATIENT / 2
    late = talk(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000 + b"never", hear=True, hang_up=True)
    assert ask(late, contains="never")[0] is False


def test_garbage_and_a_connection_cut_short_are_failures(talk: Talk) -> None:  # noqa: F811
    assert ask(talk(b"SSH-2.0-x\r\n", hear=True, hang_up=True))[0] is False
    assert ask(talk(b"", hear=True, hang_up=True))[0] is False
    cut = talk(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", hear=True, hang_up=True)
    assert ask(cut, contains="xyz")[0] is False
    assert ask(cut, url=f"https://{{host}}:{cut.port}/")[0] is False


def test_the_url_is_filled_with_brackets_around_ipv6_and_sent_as_host(talk: Talk) -> None:  # noqa: F811
    where = ProbeTarget("a", "2001:db8::1", "2001:db8::2")
    assert filled("http://{host}:81/{address}", where) == "http://[2001:db8::1]:81/[2001:db8::2]"
    assert filled("http://{address}/", ProbeTarget("a", "h.example")) == "http://h.example/"
    server = talk(reply(), hear=True, host="::1")
    assert ask(server) == (True, "")
    head = server.heard[0].decode()
    assert f"Host: [::1]:{server.port}\r\n".lower() in head.lower()
    assert head.startswith("GET /healthz HTTP/1.1\r\n")


def test_a_password_in_the_url_is_sent_and_never_shown(talk: Talk, refused: int) -> None:  # noqa: F811
    server = talk(reply(403), hear=True)
    for url in (
        f"http://u:secret@127.0.0.1:{server.port}/",
        f"http://u:secret@127.0.0.1:{refused}/",
        "http://u:secret@127.0.0.1:notaport/",
        "http://u:secret@no-such.invalid/",
    ):
        good, detail = ask(server, url=url)
        assert good is False
        assert "secret" not in detail
    assert b"Authorization: Basic" in server.heard[0]


def test_an_https_server_with_a_certificate_nobody_vouches_for_fails(
    talk: Talk,  # noqa: F811
    tmp_path: object,
) -> None:
    import ssl

    key, certificate = f"{tmp_path}/key.pem", f"{tmp_path}/cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    more = ["-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", certificate]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    subprocess.run([*command, *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        thread = threading.Thread(target=serve, name="tls")
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}/"
        result = make_probe(ProbeSpec("http", PATIENT, url=url)).probe(target(1))
        thread.join()
    assert result.good is False
    assert "certificate verify failed" in result.detail


# ── ping ─────────────────────────────────────────────────────────────────────────────────────────────────

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")


@as_root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_real_ping_of_loopback_is_good(host: str) -> None:
    result = make_probe(spec("ping")).probe(target(0, host))
    assert result.good is True
    assert result.rtt_seconds is not None
    assert 0 <= result.rtt_seconds < PATIENT


@as_root
def test_a_real_ping_into_the_void_fails() -> None:
    """240.0.0.1 is reserved: Linux has no way there."""
    result = make_probe(spec("ping", BRIEF)).probe(target(0, "240.0.0.1"))
    assert result.good is False
    assert "240.0.0.1" in result.detail


def test_a_tiny_round_trip_is_good_and_silence_and_an_icmp_error_are_not() -> None:
    for answer, good in ((0.0, True), (1e-9, True), (-1e-9, True), (None, False), (False, False)):
        result = Ping(spec("ping", 1), send=lambda *a, answer=answer, **k: answer).probe(target(0))
        assert result.good is good
        assert (result.rtt_seconds is not None) == good


def test_sending_that_is_not_permitted_is_absent_and_says_how_to_permit_it() -> None:
    def not_permitted(*_: object, **__: object) -> float:
        raise PermissionError(errno.EACCES, "Permission denied")

    result = Ping(spec("ping"), send=not_permitted).probe(target(0))
    assert (result.good, result.detail) == (None, NOT_PERMITTED_4)
    assert "net.ipv4.ping_group_range" in result.detail
    assert "CAP_NET_RAW" in result.detail
    six = Ping(spec("ping"), may_raw=lambda family: False).probe(target(0, "::1"))
    assert (six.good, six.detail) == (None, NOT_PERMITTED_6)


def test_a_network_that_is_away_and_a_cut_packet_are_failures() -> None:
    import struct

    for error, words in (
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable (127.0.0.1)"),
        (struct.error("unpack requires 8 bytes"), "a malformed ICMP packet came (127.0.0.1)"),
    ):

        def away(*_: object, error: Exception = error, **__: object) -> float:
            raise error

        result = Ping(spec("ping"), send=away).probe(target(0))
        assert (result.good, result.detail) == (False, words)


def test_every_ping_has_a_number_of_its_own() -> None:
    numbers = []
    ping = Ping(spec("ping"), send=lambda address, seq, **k: float(numbers.append(seq) or 0))
    for _ in range(5):
        ping.probe(target(0))
    assert len(set(numbers)) == 5


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
def test_without_the_right_to_send_a_real_ping_is_absent() -> None:
    groups = [int(n) for n in Path("/proc/sys/net/ipv4/ping_group_range").read_text().split()]
    code = (
        "from sync.probes import *\n"
        "for host in ('127.0.0.1', '::1'):\n"
        "    r = make_probe(ProbeSpec('ping', 5)).probe(ProbeTarget('a', host))\n"
        "    print(r.good, r.detail)\n"
    )
    drop = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]
    run = subprocess.run([*drop, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode != 0 and "Permission denied" in run.stderr:
        pytest.skip("the checkout cannot be read by nobody")
    four, six = run.stdout.splitlines()
    if groups[0] <= 65534 <= groups[1]:
        assert four == "True "
    else:
        assert four == f"None {NOT_PERMITTED_4}"
    assert six == f"None {NOT_PERMITTED_6}"


# ── the registry ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", sorted(PROBES))
def test_every_probe_in_the_registry_bears_its_name(kind: str) -> None:
    assert make_probe(spec(kind)).kind == kind


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("pong", {}),
        ("http", {"url": None}),
        ("http", {"url": "ftp://x/"}),
        ("tcp", {"timeout_seconds": 0}),
        ("tcp", {"attempts": 0}),
        ("tcp", {"port": 65536}),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused(kind: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"probe {kind}: "):
        make_probe(ProbeSpec(kind, **wrong))  # type: ignore[arg-type]
