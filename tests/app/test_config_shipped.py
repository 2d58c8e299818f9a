"""The configuration files in the repository: the shipped one holds the defaults, its examples work, the others load."""

import re
from pathlib import Path

import pytest

from app.config import load
from app.config.effective import effective
from app.config.tree import Plain
from app.config.yaml_text import read

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.yml"
VARIABLES = dict.fromkeys(
    (
        "ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "CLOUDFLARE_TOKEN", "TENCENT_ID", "TENCENT_KEY", "AWS_ID", "AWS_SECRET",
        "DINGTALK_TOKEN",
    ),
    "x",
)  # fmt: skip


def plain(text: str) -> Plain:
    document, problems = read(text, "config.yml")
    assert document is not None
    assert not problems
    return document.plain()


def test_every_value_in_the_shipped_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(SHIPPED.read_text())
    shipped = effective(load(tmp_path / "config.yml", environ={}))
    (tmp_path / "config.yml").write_text("")
    assert effective(load(tmp_path / "config.yml", environ={})) == shipped


def test_every_key_with_a_default_stands_in_the_shipped_file(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("")
    defaults = plain(effective(load(tmp_path / "config.yml", environ={})))
    written = plain(SHIPPED.read_text())
    assert _keys(defaults) - {"health.probes.port"} == _keys(written)


def _keys(value: Plain, above: str = "") -> set[str]:
    if isinstance(value, list):
        return set().union(*(_keys(item, above) for item in value)) if value else set()
    if not isinstance(value, dict) or "strategies" in above:
        return set()
    return {f"{above}.{key}".removeprefix(".") for key in value} | {
        found for key, item in value.items() for found in _keys(item, f"{above}.{key}".removeprefix("."))
    }


def uncommented(text: str) -> str:
    """The shipped file with the examples in force: the comments that are indented and look like YAML."""
    return re.sub(r"(?m)^( +)# ( *(?:- |\S+: |\S+:$).*)$", r"\1\2", text)


def test_the_examples_in_the_shipped_file_work_when_uncommented(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(uncommented(SHIPPED.read_text()))
    config = load(path, environ=VARIABLES)
    assert [node.name for node in config.nodes] == ["sh-telecom", "bj-unicom"]
    assert {provider.kind for provider in config.dns.providers.values()} == {
        "zonefile", "rfc2136", "aliyun", "cloudflare", "dnspod", "route53", "callback",
    }  # fmt: skip
    assert {channel.kind for channel in config.alerts.channels.values()} == {
        "email", "webhook", "command", "apprise", "dingtalk",
    }  # fmt: skip
    assert [probe.kind for probe in config.health.probes] == ["ping", "rsync", "tcp", "http"]
    assert [source.source for source in config.nodes[1].addresses] == [
        "static", "hostname", "reported", "url", "interface", "command",
    ]  # fmt: skip
    assert len(config.hooks) == 4
    unicom = config.dns.services[0].lines["unicom"]  # type: ignore[index]
    assert (unicom.node_tiers, unicom.weights) == ((("bj-unicom",), ("sh-telecom",)), {"bj-unicom": 2})


@pytest.mark.parametrize("env", ["prod", "dev", "demo"])
def test_every_shipped_environment_loads(env: str) -> None:
    config = load(SHIPPED, env=env, environ={})
    assert config.node_source.command is None
    assert {provider.kind for provider in config.dns.providers.values()} <= {"zonefile"}
    assert len(config.files) == (1 if env == "prod" else 2)


def test_the_commands_find_the_app() -> None:
    assert "FLASK_APP=app:create_app" in (ROOT / ".flaskenv").read_text().splitlines()
