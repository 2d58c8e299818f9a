"""Providers whose SDK is optional: found missing when one is configured, with the line that installs it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from dns.errors import SettingsError
from dns.providers import EXTRAS, make_provider

ROOT = Path(__file__).parents[2]
SDK = {"cloudflare": "cloudflare", "dnspod": "tencentcloud", "route53": "boto3"}
VALUES = {
    "cloudflare": {"token": "t"},
    "dnspod": {"secret_id": "i", "secret_key": "k"},
    "route53": {"access_key_id": "i", "access_key_secret": "k"},
}


@pytest.mark.parametrize("kind", sorted(EXTRAS))
def test_a_missing_sdk_is_an_error_with_the_line_to_type(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == SDK[kind] or n == f"dns.providers.{kind}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"dns.providers.{kind}_client", raising=False)
    monkeypatch.setitem(sys.modules, SDK[kind], None)
    with pytest.raises(SettingsError) as refusal:
        make_provider("x", kind, VALUES[kind])
    assert f"pip install -r requirements-{kind}.txt" in str(refusal.value)


def test_no_sdk_is_imported_before_its_provider_is_asked_for() -> None:
    program = f"import sys, dns.providers; print([n for n in {[*SDK.values(), 'aliyunsdkcore']} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", sorted(EXTRAS))
def test_the_pinned_versions_are_those_that_were_tested(kind: str) -> None:
    for line in (ROOT / EXTRAS[kind]).read_text().splitlines():
        if pinned := re.match(r"([A-Za-z0-9_.-]+)==(\S+)", line):
            assert version(pinned[1]) == pinned[2], line


@pytest.mark.parametrize("kind", sorted(EXTRAS))
def test_no_optional_sdk_needs_dnspython(kind: str) -> None:
    """It would be hidden by our own package of the name dns."""
    for line in (ROOT / EXTRAS[kind]).read_text().splitlines():
        if pinned := re.match(r"([A-Za-z0-9_.-]+)==", line):
            needed = [r for r in requires(pinned[1]) or [] if "extra ==" not in r]
            assert not any(r.lower().startswith("dnspython") for r in needed)


@pytest.mark.parametrize(
    ("kind", "logger"),
    [("cloudflare", "cloudflare"), ("dnspod", "tencentcloud_sdk_common"), ("route53", "botocore")],
)
def test_an_sdk_is_silent_whatever_set_up_logging_after_its_import(kind: str, logger: str) -> None:
    make_provider("x", kind, VALUES[kind]).close()
    talkative = logging.getLogger(logger)
    talkative.setLevel(logging.DEBUG)
    talkative.propagate = True
    make_provider("x", kind, VALUES[kind]).close()
    assert not talkative.isEnabledFor(logging.CRITICAL)
    assert not talkative.propagate
