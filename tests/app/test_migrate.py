"""Holds the migration to: nothing forgotten, nothing invented, no secret in the text, and a result that can be used."""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.config import load
from app.migrate import ForeignError, migrate
from app.migrate.ddnsgo import split
from app.migrate.filesyncgo import parameters
from app.migrate.foreign import read

SAMPLES = Path(__file__).parent.parent / "samples"


def text(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def configured(name: str, folder: Path) -> Any:
    draft = migrate(text(name))
    draft.checked("config.yml")
    draft.write(folder / "config.yml")
    return load(folder / "config.yml", "prod", environ={})


def test_filesyncgo_s_settings_arrive_tabs_and_all(tmp_path: Path) -> None:
    config = configured("filesyncgo.yml", tmp_path)
    assert config.name == "publish"
    assert (str(config.publish.root), config.publish.paths) == ("/srv/www", ("pages", "assets"))
    assert config.publish.exclude == ("*.git", ".~tmp~/")
    assert config.publish.delete is False
    sync = config.sync
    assert (sync.rsync, sync.module, sync.port, sync.compress) == ("/usr/bin/rsync", "site", 8730, True)
    assert (sync.timeout_seconds, sync.bwlimit, sync.extra_args) == (3, "2m", ("--numeric-ids",))
    assert (sync.max_processes, sync.max_init, sync.max_recovery, sync.dustbin_seconds) == (80, 6, 3, 7)
    health = config.health
    assert health.sleep_times.model_dump() == {
        "ready": 9,
        "dead": 4,
        "unhealth": 2,
        "recovery": 8,
        "total": 6,
    }
    assert (health.unhealth_tries, health.unhealth_fatal) == (6, 2)
    assert [(probe.kind, probe.timeout) for probe in health.probes] == [("rsync", 10)]
    assert config.node_source.command == ("php", "/srv/publish/nodes.php")
    assert config.alerts.strategies == {60: 10, 600: 3}
    assert str(config.log.path) == "/srv/log/publish/lockstep.log"


def test_filesyncgo_s_keys_without_a_counterpart_are_named_with_the_reason() -> None:
    left_out = dict(migrate(text("filesyncgo.yml")).left_out)
    assert "back to an older version" in left_out["Rsync.rsyncParams -u"]
    assert "could break a promise" in left_out["Rsync.rsyncParams --inplace"]
    assert "192.0.2.8" in left_out["HealthKeeper.devIPS"]
    assert "ops@example.com" in left_out["NoticeEmail"]
    assert {"Rsync.rsyncParams --ignore-errors", "HealthKeeper.status", "envPath"} <= left_out.keys()


def test_the_text_says_that_nothing_was_deleted_before_and_how_to_turn_it_on() -> None:
    made = migrate(text("filesyncgo.yml")).text()
    assert re.search(r"delete: false +# fileSyncGo never deletes", made)
    assert "`delete: true` takes paths" in made


def test_a_log_folder_inside_what_is_published_is_not_taken_over() -> None:
    draft = migrate(text("filesyncgo.yml").replace("/srv/log/publish/", "/srv/www/log/"))
    assert "lies in publish.root" in dict(draft.left_out)["LogPath"]
    draft.checked("config.yml")


def test_ddns_go_s_providers_domains_sources_and_webhook_arrive(tmp_path: Path) -> None:
    config = configured("ddns-go.yaml", tmp_path)
    providers = config.dns.providers
    assert {name: provider.kind for name, provider in providers.items()} == {
        "ddns-go": "aliyun",
        "second": "cloudflare",
    }
    assert providers["ddns-go"].access_key_secret.get_secret_value() == "sample-ali-secret"
    services = {s.name: s for s in config.dns.services}
    assert services["www.example.com"].types == ("A", "AAAA")
    assert (services["home.example.co.uk"].zone, services["home.example.co.uk"].record) == (
        "example.co.uk",
        "home",
    )
    assert list(services["www.example.com-line-oversea"].lines) == ["oversea"]
    assert all(s.when_none_ready == "hold" and not s.adopt for s in services.values())
    (node,) = config.nodes
    assert [(a.source, a.family) for a in node.addresses] == [("url", 4), ("interface", 6)]
    assert node.addresses[0].url == ("https://ip.example.net", "https://ip.example.org")
    hook = config.alerts.channels["webhook"]
    assert hook.url.get_secret_value().endswith("sample-hook-token")
    assert (hook.method, config.alerts.routes["default"]) == ("POST", ("webhook",))
    assert "#{ipv4Result}" in hook.body.get_secret_value()
    assert set(hook.headers) == {"X-Channel", "X-Kind"}
    assert config.web.language == "zh"


def test_ddns_go_s_rest_is_named_with_the_reason() -> None:
    left_out = dict(migrate(text("ddns-go.yaml")).left_out)
    for key in (
        "dnsconf.0.ipv6.ipv6reg @1",
        "dnsconf.2.dns porkbun",
        "user",
        "notallowwanaccess",
        "dnsconf.1.ttl 1",
    ):
        assert left_out[key]
    assert "is no service" in left_out["dnsconf.2: shop.example.net"]
    assert "not switched on" in left_out["dnsconf.1.ipv6.domains old.example.org"]


def test_ddns_go_before_version_5_had_one_provider_at_the_top() -> None:
    entry = text("ddns-go.yaml").split("    - name: second")[0].split("\n", 2)[2]
    old = "\n".join(line[6:] for line in entry.splitlines())
    assert list(migrate(old).values["dns"]["providers"]) == ["ddns-go"]


def test_cocoasyncer_s_file_is_one_node(tmp_path: Path) -> None:
    config = configured("cocoasyncer.yaml", tmp_path)
    (node,) = config.nodes
    assert (node.name, node.title, node.host, config.web.port) == ("sh", "上海", "sh.example.com", 8080)


def test_cocoasyncer_s_cluster_becomes_nodes_with_lines_services_and_accounts(tmp_path: Path) -> None:
    config = configured("cocoasyncer-cluster.json", tmp_path)
    assert {node.name: node.lines for node in config.nodes} == {
        "sh": ("default", "telecom", "edu", "oversea"),
        "bj": ("unicom", "mobile"),
        "spare": (),  # None means no line
    }
    (service,) = config.dns.services
    assert (service.fqdn, service.provider, service.lines) == ("www.example.com", "aliyun", None)
    left_out = dict(migrate(text("cocoasyncer-cluster.json")).left_out)
    assert "flask providers add" in left_out["service @.example.org"]


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.iterdir())])
def test_no_secret_stands_in_the_text_and_each_lies_in_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    draft = migrate(text(name))
    secrets = re.findall(r"sample-(?:[a-z]+-)*(?:secret|token|password|hash|id)", text(name))
    assert not [secret for secret in secrets if secret in draft.text()]
    draft.write(tmp_path / "config.yml")
    for path in draft.secrets:
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.iterdir())])
def test_a_key_that_nobody_knows_is_named_wherever_it_stands(name: str) -> None:
    tree = YAML(typ="safe", pure=True).load(text(name).replace("\t", "  "))

    def maps(value: Any) -> Any:
        if isinstance(value, dict):
            yield value
            for below in value.values():
                yield from maps(below)
        elif isinstance(value, list):
            for below in value:
                yield from maps(below)

    places = [m for m in maps(tree) if not {"ready", 60} & m.keys()]  # maps that are one value as a whole
    for number, place in enumerate(places):
        place[f"unheard{number}"] = 1
    stream = io.StringIO()
    YAML().dump(tree, stream)
    named = " ".join(key for key, _ in migrate(stream.getvalue()).left_out)
    missing = [number for number in range(len(places)) if not re.search(rf"unheard{number}\b", named)]
    assert not missing, named


@pytest.mark.parametrize(
    ("said", "why"), [("a: b\n", "neither"), ("- a\n", "no keys"), ("a: [\n", "no YAML"), ("", "no keys")]
)
def test_what_is_none_of_them_is_refused_with_the_reason(said: str, why: str) -> None:
    with pytest.raises(ForeignError, match=why):
        migrate(said)


def test_parameters_are_read_as_rsync_reads_them() -> None:
    given_words = ["-avz", "--timeout", "3", "--bwlimit=2m", "--exclude", "-x", "src"]
    assert list(parameters(given_words)) == [
        ("a", None), ("v", None), ("z", None), ("--timeout", "3"), ("--bwlimit", "2m"), ("--exclude", "-x"),
        ("src", None),
    ]  # fmt: skip


@given(st.lists(st.text("ab-=x", max_size=6), max_size=8))
def test_no_parameter_is_lost(words: list[str]) -> None:
    told = list(parameters(words))
    letters = sum(len(w) - 1 if w.startswith("-") and not w.startswith("--") else 1 for w in words)
    assert len(told) == letters  # none of these takes a value


@pytest.mark.parametrize(
    ("domain", "record", "zone"),
    [
        ("example.com", "@", "example.com"),
        ("a.b.example.com", "a.b", "example.com"),
        ("www.example.com.cn", "www", "example.com.cn"),
        ("www:sub.example.com", "www", "sub.example.com"),
        (":example.com", "@", "example.com"),
        ("*.example.com", "*", "example.com"),
    ],
)
def test_a_domain_is_split_as_ddns_go_splits_it(domain: str, record: str, zone: str) -> None:
    assert split(domain) == (record, zone)


def test_keys_are_found_whatever_their_case_and_left_ones_keep_theirs() -> None:
    foreign = read("Rsync: {Port: 1, Other: 2}\n")
    assert foreign.take("rsync", "PORT") == 1
    assert list(foreign.left()) == [("Rsync.Other", 2)]


def test_ddns_go_s_headers_go_to_files_of_their_own_and_one_domain_on_two_lines_has_two_names() -> None:
    draft = migrate(
        "dnsconf:\n- ipv4: {enable: true, gettype: url, url: 'https://ip.example', domains:"
        " ['x.example.com?Line=unicom', x.example.com]}\n"
        "  dns: {name: alidns, id: someid, secret: somesecret}\n"
        "webhook: {webhookurl: 'https://hook.example/x', webhookheaders: 'Authorization: Bearer HDRSECRET'}\n",
        "ddns-go",
    )
    assert "HDRSECRET" not in draft.text()
    assert "webhookheaders Authorization" in draft.text()
    names = [service["name"] for service in draft.values["dns"]["services"]]
    assert len(set(names)) == len(names) == 2
