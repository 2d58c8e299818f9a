"""Whatever is wrong with a configuration is said in Chinese beside its field: every key is tried with wrong values."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.config.schema.base import Base
from app.config.validation import validated
from app.config.yaml_text import read
from app.sentences import sentences

FULL = """\
name: x
data_dir: var
web: {host: 127.0.0.1, port: 1, trusted_proxy: 127.0.0.1, language: en}
log: {path: a.log, level: info, levels: {sync: debug}, format: text, rotate_bytes: 5, keep: 2}
publish: {root: publish, paths: [a], exclude: ["*.x"], delete: true, quiet_seconds: 1, max_shrink_percent: 5}
sync: {rsync: rsync, transport: ssh, module: m, port: 1, user: u, connect_seconds: 1, timeout_seconds: 5,
  compress: true, stall_seconds: 9, bwlimit: 5m,
  max_init: 1, extra_args: [--fuzzy], ssh: {user: u, port: 2, path: /srv/x}}
health: {unhealth_tries: 5, unhealth_fatal: 3, sleep_times: {ready: 1}, canaries: [a.example], isolation_seconds: 5,
  probes: [{kind: ping, timeout: 1, attempts: 2}, {kind: tcp, port: 80},
           {kind: http, url: "http://{host}/", status: [200], contains: x}]}
nodes:
  - {name: a, title: t, host: 10.0.0.1, lines: [telecom], drained: false, port: 5,
     addresses: [{static: 10.0.0.1, lines: [edu], shared: true}, {hostname: a.example}, {interface: eth0, family: 4}]}
node_source: {command: [/bin/x], every: 5}
dns:
  reconcile_seconds: 60
  providers:
    z: {kind: zonefile, path: zones}
    a: {kind: aliyun, access_key_id: k, access_key_secret: s, requests_per_second: 5}
    c: {kind: callback, url: "http://x/?a=#{action}", method: GET}
    r: {kind: rfc2136, server: 127.0.0.1, port: 53, lines: {default: {key_file: k}}}
  services:
    - {name: w, provider: z, zone: example.com, record: www, types: [A], ttl: 60, when_none_ready: fallback,
       lines: {default: {nodes: all}, telecom: {tiers: [[a]], max_answers: 1, weights: {a: 2}}}, adopt: false,
       fallback_addresses: [192.0.2.1]}
alerts:
  strategies: {90: 30}
  group_seconds: 30
  channels:
    m: {kind: email, to: [a@b.example], from: c@d.example, host: h, port: 25, security: none}
    w: {kind: webhook, url: "http://x/", method: POST}
    s: {kind: command, argv: [/bin/x]}
  routes: {default: [m]}
hooks: [{state: dead, argv: [/bin/x]}]
"""
WRONG: tuple[Any, ...] = (None, "", "soon", "..", "http://x", -1, 10**18, True, [], {"x": 1})
QUOTED = re.compile(r"'[^']*'|`[^`]*`|\S*[_./:\[\]=#$~\-]\S*|\d\w*")
MEANT = re.compile(
    r"\b(must|needs?|unknown|missing|cannot|already|outside|takes|gives|names|longer|empty|wrong|there|not|is|are|be)\b"
)


def with_leaves(value: Any, wrong: Any) -> Any:
    """The value with this instead of everything that is no map or list."""
    if isinstance(value, dict):
        return {key: below if key == "kind" else with_leaves(below, wrong) for key, below in value.items()}
    return [with_leaves(below, wrong) for below in value] if isinstance(value, list) else wrong


def variants(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with every section's values, or one whole part of it, wrong in every way."""
    for section, value in document.items():
        for wrong in WRONG:
            yield {**document, section: with_leaves(value, wrong)}
        for wrong in (None, "soon", [], {"x": 1}):
            for key in value if isinstance(value, dict) else ():
                yield {**document, section: {**value, key: wrong}}
            if isinstance(value, list):
                yield {**document, section: [*value, wrong]}
        yield {**document, f"{section}s": value}


@pytest.fixture(scope="module")
def problems() -> set[str]:
    """What is said of every key with every wrong value, and of keys too many and too few."""
    yaml = YAML(typ="safe", pure=True)
    said: set[str] = set()
    for changed in variants(yaml.load(FULL)):
        text = io.StringIO()
        yaml.dump(changed, text)
        item, _ = read(text.getvalue(), "config.yml")
        if item is not None:
            said.update(problem.message for problem in validated(item, Base(Path("/etc/lockstep")))[1])
    return said


def test_every_mistake_is_said_in_chinese(problems: set[str]) -> None:
    assert len(problems) > 80
    chinese = sentences("zh")
    left = {said: chinese.of(said) for said in problems}
    assert {e: c for e, c in left.items() if e == c or MEANT.search(QUOTED.sub("", c))} == {}


def test_what_yaml_cannot_read_is_said_in_chinese() -> None:
    for text in ("a: {", "\tb: 1", "- x", "a: 1\na: 2", "? {a: 1}\n: 2", "a: \x07"):
        for problem in read(text, "config.yml")[1]:
            assert re.search("[\u4e00-\u9fff]", sentences("zh").of(problem.message)), problem
