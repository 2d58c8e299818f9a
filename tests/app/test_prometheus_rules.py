"""The alert rules pass Prometheus's own checks and do what their tests say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"


def promtool(*words: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here; install prometheus to try the rules")
    run = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rules_are_well_formed() -> None:
    promtool("check", "rules", "rules.yml")


def test_the_rules_fire_and_stay_quiet_as_they_should() -> None:
    promtool("test", "rules", "rules.test.yml")


def test_every_rule_has_a_test() -> None:
    rules = set(re.findall(r"- alert: (\w+)", (FOLDER / "rules.yml").read_text()))
    tried = set(re.findall(r"alertname: (\w+)", (FOLDER / "rules.test.yml").read_text()))
    assert rules == tried
