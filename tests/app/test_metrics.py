"""What `/metrics` says, held against promtool and against the list of names that monitoring relies on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.web.metrics import COUNTERS
from tests.served import Service, service
from tests.stand import wait_until

ROOT = Path(__file__).resolve().parents[2]
PROMISED = """
node_state node_in_sync node_published node_lag_changes node_lag_seconds node_drift_paths
node_last_in_sync_timestamp_seconds node_probe_seconds node_flips_total probe_failures_total head sync_runs_total
sync_seconds sync_bytes_total rsync_exits_total workers_busy workers_limit dustbin_entries watch_events_total
watch_overflows_total watch_directories source_ok dns_records dns_operations_total dns_errors_total dns_frozen
alerts_total config_reload_ok leader build_info
""".split()  # noqa: SIM905 - a table, not a list


DNS = """\
dns:
  hold_down_seconds: 0.1
  startup_hold_seconds: 1
  providers: {zone: {kind: zonefile, path: zones}}
  services:
    - {name: www, provider: zone, zone: demo.test, record: www, ttl: 5, types: [A], allow_private: true,
       lines: {default: {nodes: all}}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with service(tmp_path_factory.mktemp("metrics"), more=DNS) as found:
        found.all_ready()
        (found.root / "more.txt").write_text("more")
        wait_until(lambda: "sync_seconds_bucket" in scrape(found))
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The service of this module outlives its tests."""


def scrape(running: Service, **headers: str) -> str:
    answer = running.client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def names(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def exported(text: str) -> set[str]:
    """Every name a query may use."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)", text, re.MULTILINE):
        found.add(name)
        if kind == "histogram":
            found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")}
    return found


def test_every_promised_metric_is_there(running: Service) -> None:
    assert {f"lockstep_{name}" for name in PROMISED} <= names(scrape(running))


def test_promtool_finds_the_text_well_formed(running: Service) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here; install prometheus to hold the text against it")
    run = subprocess.run(
        ["promtool", "check", "metrics"],
        input=scrape(running),
        text=True,
        capture_output=True,
        check=False,
    )
    ours = [line for line in run.stderr.splitlines() + run.stdout.splitlines() if "lockstep_" in line]
    assert run.returncode in (0, 3), run.stderr
    assert not ours, ours


def test_records_and_operations_are_counted(running: Service) -> None:
    wait_until(lambda: 'lockstep_dns_records{line="default",service="www"} 1.0' in scrape(running))
    assert 'lockstep_dns_operations_total{action="' in scrape(running)


def test_one_of_four_states_is_one(running: Service) -> None:
    text = scrape(running)
    assert 'lockstep_node_state{node="a",state="ready"} 1.0' in text
    assert 'lockstep_node_state{node="a",state="dead"} 0.0' in text


def test_requests_are_grouped_by_rule(running: Service) -> None:
    for number in range(3):
        running.client.get(f"/api/v1/nodes/none-{number}")
    text = scrape(running)
    assert 'url_rule="/api/v1/nodes/<name>"' in text
    assert "none-1" not in text


def test_no_label_holds_a_path_or_an_address(running: Service) -> None:
    ours = [line for line in scrape(running).splitlines() if line.startswith("lockstep_")]
    labels = {name for line in ours for name in re.findall(r'[{,](\w+)="', line)}
    assert labels <= {
        *("node", "state", "from", "to", "kind", "result", "le", "code", "lane", "service", "line"),
        *("provider", "action", "channel", "version"),
    }


QUERIES = re.compile(r"\b(lockstep_[a-z_]+|flask_[a-z_]+|process_[a-z_]+)\b")


@pytest.mark.parametrize("file", ["deploy/prometheus/rules.yml", "deploy/grafana/lockstep.json"])
def test_what_rules_and_panels_name_is_exported(running: Service, file: str) -> None:
    text = (ROOT / file).read_text()
    if file.endswith(".json"):
        panels = json.loads(text)["panels"]
        text = " ".join(t["expr"] for p in panels for t in p.get("targets", ()))
    used = set(QUERIES.findall(text))
    assert used, "nothing is named"
    assert used <= exported(scrape(running))


def test_a_node_that_is_gone_from_the_configuration_is_gone_from_the_answer(tmp_path: Path) -> None:
    with service(tmp_path) as own:
        own.all_ready()
        assert 'node="b"' in scrape(own)
        own.supervisor.engine.set_nodes([n for n in own.supervisor.nodes() if n.name == "a"])
        wait_until(lambda: 'node="b"' not in scrape(own))


def test_a_token_guards_the_metrics(tmp_path: Path) -> None:
    with service(tmp_path, nodes=0, more="") as own:
        text = (tmp_path / "config.yml").read_text()
        (tmp_path / "config.yml").write_text(text.replace("port: 0}", "port: 0, metrics_token: s3cret}"))
        own.supervisor.reload()
        assert own.client.get("/metrics").status_code == 401
        assert own.client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert "s3cret" not in scrape(own, Authorization="Bearer s3cret")


# ── rules and panels ─────────────────────────────────────────────────────────────────────────────────────

BOARD = ROOT / "deploy" / "grafana" / "lockstep.json"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$node": ".*", "$service": ".*", "$job": "lockstep"}
ADDED = {"job", "instance", "le", "alertname", "severity"}
"""Labels that Prometheus or the rules add."""
SELECTOR = re.compile(r"\b((?:lockstep|flask|process)_\w+)\{([^}]*)\}")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring) ?\(([^)]*)\)")


def panel_queries() -> list[str]:
    """What the board asks, with its variables filled in."""
    found = [t["expr"] for p in json.loads(BOARD.read_text())["panels"] for t in p.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


def rules() -> list[dict[str, Any]]:
    document = YAML(typ="safe").load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def labels_of(text: str) -> dict[str, set[str]]:
    """The labels of each exported name; those of ours from their definitions, for there need be no sample."""
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{([^}]*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    for name, (_, labels) in COUNTERS.items():
        found.setdefault(f"lockstep_{name}_total", set()).update(labels)
    return found


def test_promtool_reads_every_query_of_the_board(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here; install prometheus to try the queries")
    queries = panel_queries()
    assert len(queries) > 20
    assert not [query for query in queries if "$" in query], "a variable that is not filled in"
    made = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": made}]}))  # JSON is YAML
    run = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_rules_and_panels_ask_for_labels_that_there_are(running: Service) -> None:
    known = labels_of(scrape(running))
    everything = set().union(*known.values()) | ADDED
    for query in (*panel_queries(), *(rule["expr"] for rule in rules())):
        for name, matchers in SELECTOR.findall(query):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert asked <= known[name] | ADDED, (query, asked - known[name])
        for grouping in GROUPING.findall(query):
            names = {name.strip() for name in grouping.split(",")} - {""}
            assert names <= everything, query


def test_the_board_s_variables_list_what_is_exported(running: Service) -> None:
    known = labels_of(scrape(running))
    asked = re.findall(
        r"label_values\((\w+), (\w+)\)", json.dumps(json.loads(BOARD.read_text())["templating"])
    )
    assert asked
    assert all(label in known[metric] for metric, label in asked)


def test_what_a_rule_says_names_labels_that_its_query_yields(running: Service) -> None:
    known = labels_of(scrape(running))
    for rule in rules():
        said = " ".join(rule.get("annotations", {}).values())
        named = set(re.findall(r"\$labels\.(\w+)", said))
        metrics = QUERIES.findall(rule["expr"])
        yielded = set().union(*(known.get(metric, set()) for metric in metrics)) | {"job", "instance"}
        assert named <= yielded, (rule["alert"], named - yielded)
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
