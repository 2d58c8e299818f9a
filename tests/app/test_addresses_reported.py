"""Nodes that move: reported over the API and by the real ddclient, by commands, with probes of their own."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dns_stand import DnsStand, dns_stand, until
from tests.servers_lockstep import Lockstep
from tests.servers_rsync import free_port

WWW = (
    "{name: www, provider: p, zone: example.test, record: www, ttl: 5, types: [A, AAAA], allow_private: %s, "
    "lines: {default: {nodes: all}}}"
)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[DnsStand]:
    """Node a reports its address, node b has one."""
    with dns_stand(
        tmp_path, "ab", services=[WWW % "true"], options={"port": free_port(), "hold_down": 0}
    ) as made:
        made.nodes["a"] = ", addresses: [{reported: true}]"
        made.write()
        (made.folder / "service.log").touch()
        yield made


@pytest.fixture
def shell(stand: DnsStand) -> Iterator[Lockstep]:
    made = Lockstep(stand.folder, stand.daemons, stand.options["port"])
    made.start()
    made.all_in_sync()
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


def token(shell: Lockstep, node: str = "a") -> str:
    found: str = shell.json("token", "add", f"of-{node}", "--scope", "report", "--node", node)["token"]
    return found


def update(shell: Lockstep, secret: str, query: str) -> str:
    basic = base64.b64encode(f"router:{secret}".encode()).decode()
    url = f"http://127.0.0.1:{shell.port}/nic/update?{query}"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {basic}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
        return text.strip()


def ddclient(shell: Lockstep, secret: str, address: str) -> subprocess.CompletedProcess[str]:
    """One run of the real program, as a timer on the node would start it."""
    program = shutil.which("ddclient") or "/usr/sbin/ddclient"
    if not Path(program).exists():
        pytest.skip("ddclient is not installed")
    config = shell.folder / "ddclient.conf"
    config.write_text(
        f"protocol=dyndns2\nuse=ip, ip={address}\nssl=no\nserver=127.0.0.1:{shell.port}\n"
        f"login=any\npassword='{secret}'\na\n"
    )
    config.chmod(0o600)
    command = [program, "-daemon=0", "-foreground", "-verbose", "-noquiet"]
    command += [
        "-file",
        str(config),
        "-cache",
        str(shell.folder / f"{address}.cache"),
        "-pid",
        str(shell.folder / "dd.pid"),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_ddclient_reports_where_its_node_is_and_the_record_follows(stand: DnsStand, shell: Lockstep) -> None:
    secret = token(shell)
    b = stand.address("b")
    shell.until(lambda: stand.zone_values() == [b], "b alone: where a is nobody knows")
    done = ddclient(shell, secret, "127.0.0.91")
    assert "good" in done.stdout + done.stderr, done.stdout + done.stderr
    shell.until(
        lambda: stand.zone_values() == sorted(["127.0.0.91", b]), "a is published where it says it is"
    )
    done = ddclient(shell, secret, "127.0.0.92")
    assert "good" in done.stdout + done.stderr, done.stdout + done.stderr
    shell.until(lambda: stand.zone_values() == sorted(["127.0.0.92", b]), "it moved")
    moved = [row for row in shell.json("dns", "history")["history"] if "127.0.0.91" in row["old_values"]]
    assert moved[0]["action"] == "replace", "an update in place"
    assert secret not in shell.log


def test_the_protocol_s_answers_and_a_report_is_kept_over_a_restart(stand: DnsStand, shell: Lockstep) -> None:
    secret = token(shell)
    b = stand.address("b")
    assert update(shell, secret, "hostname=a&myip=127.0.0.93,::1") == "good 127.0.0.93,::1"
    assert update(shell, secret, "hostname=a&myip=127.0.0.93,::1") == "nochg 127.0.0.93,::1"
    assert update(shell, secret, "hostname=a&myip=127.0.0.93&myipv6=::1") == "nochg 127.0.0.93,::1"
    assert update(shell, secret, "hostname=a&myip=&myipv6=::1") == "good ::1"
    assert update(shell, secret, "hostname=a&myip=127.0.0.93&myipv6=") == "good 127.0.0.93"
    assert update(shell, secret, "hostname=b&myip=127.0.0.94") == "nohost"
    assert update(shell, secret, "myip=127.0.0.94") == "notfqdn"
    assert update(shell, secret, "hostname=a") == "good 127.0.0.1"
    assert update(shell, secret, "hostname=a&myip=127.0.0.93") == "good 127.0.0.93"
    shell.until(lambda: stand.zone_values() == sorted(["127.0.0.93", b]), "published")
    shell.stop(signal.SIGKILL)
    shell.start()
    shell.all_in_sync()
    nodes = {node["name"]: node for node in shell.json("nodes", "list")["nodes"]}
    assert nodes["a"]["addresses"] == ["127.0.0.93"]
    shell.until(lambda: shell.asked("dns-plan") == {"operations": [], "held": None}, "nothing is due")
    assert stand.zone_values() == sorted(["127.0.0.93", b])


def test_garbage_is_refused_and_changes_nothing(stand: DnsStand, shell: Lockstep) -> None:
    secret = token(shell)
    assert update(shell, secret, "hostname=a&myip=127.0.0.93") == "good 127.0.0.93"
    for garbage in ("no.address", "300.1.1.1", "127.0.0.1%0a127.0.0.2", "fe80::1%25eth0"):
        assert update(shell, secret, f"hostname=a&myip={garbage}") == "911", "ask again later, not never"
    assert update(shell, secret, "hostname=a&myip=127.0.0.93&myipv6=fe80") == "911"
    body = json.dumps({"addresses": ["<html>"]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{shell.port}/api/v1/nodes/a/address",
        data=body,
        headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 400
    assert json.load(refused.value)["error"]["code"] == "bad_address"
    refused.value.close()
    nodes = {node["name"]: node for node in shell.json("nodes", "list")["nodes"]}
    assert nodes["a"]["addresses"] == ["127.0.0.93"]


# ── other sources, in process ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def local(tmp_path: Path) -> Iterator[DnsStand]:
    with dns_stand(tmp_path, "ab", services=[WWW % "true"]) as made:
        yield made


def says(folder: Path, address: str) -> None:
    (folder / "address").write_text(address)


def test_a_private_address_is_refused_unless_the_service_allows_it(local: DnsStand) -> None:
    local.services = [WWW % "false"]
    local.start()
    until(lambda: all(n["in_sync"] for n in local.supervisor.operations.nodes()["nodes"]), "in sync")
    local.supervisor.operations.dns_apply()
    assert local.zone_values() == []
    reason = local.supervisor.operations.publications()["a"].reason
    assert "allow_private: true" in str(reason), reason
    local.services = [WWW % "true"]
    local.reload()
    local.await_published("a", "b")


def test_a_command_s_address_follows_and_a_failing_one_keeps_the_last(
    local: DnsStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.address_book

    monkeypatch.setitem(app.address_book.ASK_SECONDS, "command", 0.2)
    says(local.folder, "127.0.0.81\n")
    local.nodes["a"] = f", addresses: [{{command: [cat, '{local.folder / 'address'}']}}]"
    local.start()
    b = local.address("b")
    until(lambda: local.zone_values() == sorted(["127.0.0.81", b]), "published")
    says(local.folder, "127.0.0.82\n")
    until(lambda: local.zone_values() == sorted(["127.0.0.82", b]), "it moved")
    says(local.folder, "<html>error</html>")
    until(lambda: local.events("keeping 127.0.0.82"), "it says so")
    assert local.zone_values() == sorted(["127.0.0.82", b])


def test_a_source_that_fails_after_a_restart_changes_nothing(local: DnsStand) -> None:
    says(local.folder, "127.0.0.81\n")
    local.nodes["a"] = f", addresses: [{{command: [cat, '{local.folder / 'address'}']}}]"
    local.start()
    wanted = sorted(["127.0.0.81", local.address("b")])
    until(lambda: local.zone_values() == wanted, "published")
    local.stop()
    (local.folder / "address").unlink()
    local.start()
    until(lambda: all(n["in_sync"] for n in local.supervisor.operations.nodes()["nodes"]), "in sync")
    assert local.supervisor.operations.dns_apply()["applied"] == 0
    assert local.zone_values() == wanted


def test_an_address_whose_own_probe_fails_goes_alone_and_waits_to_return(local: DnsStand) -> None:
    local.options = {"hold_down": "1s"}
    extra = local.daemons["b"].port  # stands for the uplink's port: node b's daemon answers for it
    probe = f"probes: [{{kind: tcp, port: {extra}, timeout: 0.5, attempts: 1}}]"
    local.nodes["a"] = (
        f", addresses: [{{static: {local.address('a')}}}, {{static: {local.address('b')}, shared: true, {probe}}}]"
    )
    del local.nodes["b"]
    local.start()
    both = sorted([local.address("a"), local.address("b")])
    until(lambda: local.zone_values() == both, "both uplinks answer")
    local.daemons["b"].kill()
    until(lambda: local.zone_values() == [local.address("a")], "the dead uplink goes")
    assert local.events("does not answer")
    local.daemons["b"].start()
    said: Any = until(
        lambda: local.supervisor.reconciler._holddowns.waits(f"a {local.address('b')}", 1.0), "it waits"
    )
    assert said[1] == 1.0
    until(lambda: local.zone_values() == both, "and returns")


def test_a_node_without_a_host_follows_its_first_address_and_is_known_again_after_a_restart(
    local: DnsStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.address_book

    monkeypatch.setitem(app.address_book.ASK_SECONDS, "command", 0.2)
    says(local.folder, local.address("a"))
    text = local.write().read_text()
    source = f"addresses: [{{command: [cat, '{local.folder / 'address'}']}}]"
    text = text.replace(f"host: {local.address('a')}, ", "").replace(
        f"port: {local.daemons['a'].port}}}", f"port: {local.daemons['a'].port}, {source}}}", 1
    )
    path = local.folder / "config.yml"
    local.write = lambda: (path.write_text(text), path)[1]  # type: ignore[method-assign]
    local.start()
    local.await_published("a", "b")
    local.stop()
    local.start()
    assert local.supervisor.engine.field.nodes["a"].cursor is not None, "no new node: nothing is resynced"
    local.await_published("a", "b")
    local.stop()
    (local.folder / "address").write_text("garbage")
    local.start()
    until(lambda: local.supervisor.engine.field.nodes["a"].in_sync, "a is where it was")
    assert local.zone_values() == sorted([local.address("a"), local.address("b")])
