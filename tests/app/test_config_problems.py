"""Problems: all of them at once, each at its line and column, with the key that was probably meant."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import ConfigError, Problem, load
from app.config.errors import nearest
from app.config.schema.root import Config


def told(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "config.yml"
    path.write_text(text)
    try:
        load(path, environ={})
    except ConfigError as error:
        return [line.removeprefix(f"{path}:") for line in str(error).splitlines()]
    return []


EVERYTHING = """\
naem: x
sync:
  max_proceses: 3
  port: abc
  connect_seconds: 500
  extra_args: [--delete]
nodes:
  - name: a
    host: h
  - name: b
    hots: h
    probes: [{kind: pong}, {kind: tcp}, {kind: http, url: "http://{hst}/", timeout: 5x}]
  - {name: c, host: H.}
web: {port: 99999, language: fr}
dns:
  providers: {z: {kind: zonefile}, c: {kind: cloudflare, token: t}}
  services:
    - {name: w, provider: zz, zone: example.com, record: -x, lines: {default: {nodes: al}, tel: {nodes: [aa, b]}}}
    - {name: w, provider: c, zone: example.com, record: x, ttl: 5, lines: {telecom: {tiers: [[d]]}}}
hooks: [{state: dead}]
"""


def test_one_run_names_everything_that_is_wrong(tmp_path: Path) -> None:
    keys = [line.split(": ")[:2] for line in told(tmp_path, EVERYTHING)]
    assert keys == [
        ["1:1", "naem"],
        ["3:3", "sync"],
        ["3:3", "sync.max_proceses"],
        ["4:9", "sync.port"],
        ["6:15", "sync.extra_args"],
        ["11:5", "nodes[1].hots"],
        ["12:21", "nodes[1].probes[0].kind"],
        ["12:28", "nodes[1].probes[1].port"],
        ["12:59", "nodes[1].probes[2].url"],
        ["12:85", "nodes[1].probes[2].timeout"],
        ["13:12", "nodes[2].name"],
        ["14:13", "web.port"],
        ["14:30", "web.language"],
        ["16:15", "dns.providers.z.path"],
        ["18:27", "dns.services[0].provider"],
        ["18:58", "dns.services[0].record"],
        ["18:87", "dns.services[0].lines.default.nodes"],
        ["18:106", "dns.services[0].lines.tel.nodes[0]"],
        ["19:14", "dns.services[1].name"],
        ["19:65", "dns.services[1].ttl"],
        ["19:76", "dns.services[1].lines.telecom"],
        ["19:95", "dns.services[1].lines.telecom.tiers[0][0]"],
        ["20:9", "hooks[0]"],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sync: {max_proceses: 3}", "1:8: sync.max_proceses: unknown key (did you mean 'max_processes'?)"),
        ("sync: {zzz: 3}", "1:8: sync.zzz: unknown key"),
        ("sync:\n  passwrd_file: x", "2:3: sync.passwrd_file: unknown key (did you mean 'password_file'?)"),
        ("web: {port: 1.5}", "1:13: web.port: must be a whole number, not '1.5'"),
        ("web: {port: true}", "1:13: web.port: must be a number, not true or false"),
        ("web: {port: null}", "1:13: web.port: must not be empty"),
        ("web: {public_status: maybe}", "1:22: web.public_status: must be true or false, not 'maybe'"),
        ("web: 5", "1:6: web: must be a map of keys, not '5'"),
        ("nodes: a", "1:8: nodes: must be a list, not 'a'"),
        ("nodes: [a]", "1:9: nodes[0]: must be a map of keys, not 'a'"),
        ("dns: {providers: [a]}", "1:18: dns.providers: must be a map"),
        ("name: 5", "1:7: name: must be text: put it in quotes, not '5'"),
        (
            "sync: {transport: shh}",
            "1:19: sync.transport: must be 'daemon' or 'ssh', not 'shh' (did you mean 'ssh'?)",
        ),
        ("sync: {dustbin_seconds: 11m}", "1:25: sync.dustbin_seconds: must be at most 600, not '11m'"),
        ("dns: {providers: {a: {}}}", "1:19: dns.providers.a.kind: is missing"),
        ("health: {probes: []}", "1:18: health.probes: must not be empty"),
        ("alerts: {routes: {daed: []}}", "1:19: alerts.routes.daed: unknown key (did you mean 'dead'?)"),
        ("log: {levels: {x: loud}}", "1:19: log.levels.x: must be"),
        (
            "alerts: {strategies: {0: 1}}",
            "1:23: alerts.strategies[0]: must be a window of 1 to 86400 whole seconds",
        ),
    ],
)
def test_a_mistake_is_named_in_the_words_of_people(tmp_path: Path, text: str, expected: str) -> None:
    found = told(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_sections_and_lists_whose_entries_are_all_commented_out_are_empty(tmp_path: Path) -> None:
    assert (
        told(
            tmp_path,
            "nodes:\n  # - name: a\nweb:\ndns:\n  providers:\n  services:\nhooks:\nalerts: {channels: }\n",
        )
        == []
    )


def test_the_nearest_word_is_found_whatever_its_case() -> None:
    assert nearest("PORT", ["port", "paths"]) == "port"
    assert nearest("zzz", ["port", "paths"]) is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
sections = st.sampled_from(sorted(Config.model_fields))
words = st.sampled_from(
    ["kind", "name", "host", "nodes", "lines", "providers", "services", "channels", "ssh", "probes", "url"]
)
trees = st.dictionaries(
    sections,
    st.one_of(junk, st.dictionaries(words, junk), st.lists(st.dictionaries(words, junk))),
    max_size=5,
)


@given(trees)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_document_does_anything_but_load_or_be_refused_with_a_place(tmp_path: Path, tree: object) -> None:
    from ruamel.yaml import YAML

    path = tmp_path / "config.yml"
    with path.open("w", encoding="utf-8", errors="replace") as file:
        YAML().dump(tree, file)
    problems: tuple[Problem, ...] = ()
    try:
        load(path, environ={})
    except ConfigError as error:
        problems = error.problems
        refused = True
    else:
        refused = False
    assert bool(problems) is refused
    assert all(problem.line > 0 and problem.column > 0 for problem in problems)
    assert len(set(problems)) == len(problems)
