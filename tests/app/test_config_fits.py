"""The configuration fits the parts it is for: its providers' and channels' keys are theirs, and so are the limits."""

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest

from app.alerts.channels import CHANNELS, make_channel
from app.config import Config, load, values_of
from app.config.schema.base import Section
from app.config.schema.providers import ProviderConfig, lines_of, ttl_limits
from app.config.schema.shape import kinds_of
from dns.errors import SettingsError
from dns.providers import PROVIDERS, make_provider, provider_class, secret_keys

TEXT = """
dns:
  providers:
    zonefile: {kind: zonefile, path: zones}
    rfc2136: {kind: rfc2136, server: 127.0.0.1, lines: {default: {key_file: k}, telecom: {key_file: l}}}
    aliyun: {kind: aliyun, access_key_id: i, access_key_secret: s, ttl_min: 600}
    cloudflare: {kind: cloudflare, token: t}
    dnspod: {kind: dnspod, secret_id: i, secret_key: s}
    route53: {kind: route53, access_key_id: i, access_key_secret: s}
    callback: {kind: callback, url: "https://h/?#{ip}", headers: {X: y}, withdraw: {url: "https://h/x"}}
alerts:
  channels:
    email: {kind: email, to: [a@example.com], from: b@example.com, host: h}
    webhook: {kind: webhook, url: https://h/, secret: s}
    command: {kind: command, argv: [x]}
    apprise: {kind: apprise, urls: [json://h]}
    dingtalk: {kind: dingtalk, url: https://h/?t, secret: s}
    wecom: {kind: wecom, url: https://h/?t}
    feishu: {kind: feishu, url: https://h/?t, secret: s}
  routes: {}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.yml").write_text(TEXT)
    return load(tmp_path / "config.yml", environ={})


def model(union: Any, kind: str) -> type[Section]:
    members: tuple[type[Section], ...] = get_args(get_args(union)[0])
    return next(member for member in members if kind in kinds_of(member))


def settings_class(kind: str) -> Any:
    try:
        return provider_class(kind).Settings
    except SettingsError as missing:  # an extra that is not installed
        pytest.skip(str(missing))


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_a_providers_keys_defaults_and_secrets_are_its_own(kind: str) -> None:
    fields = {field.name: field for field in dataclasses.fields(settings_class(kind)) if field.init}
    ours = {name: found for name, found in model(ProviderConfig, kind).model_fields.items() if name != "kind"}
    assert set(ours) == set(fields)
    for name, found in ours.items():
        theirs = fields[name]
        default = (
            theirs.default if theirs.default_factory is dataclasses.MISSING else theirs.default_factory()
        )
        assert found.is_required() is (default is dataclasses.MISSING), name
        if not found.is_required():
            assert found.default == default, name
    assert {name for name, found in ours.items() if "Secret" in repr(found.annotation)} | {
        "withdraw"
    } >= secret_keys(kind)


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_a_provider_is_made_from_the_configuration_and_limited_as_it_says(config: Config, kind: str) -> None:
    settings_class(kind)
    ours = config.dns.providers[kind]
    provider = make_provider("x", kind, values_of(ours))
    able = provider.capabilities("example.com")
    assert (able.ttl_min, able.ttl_max) == ttl_limits(ours)
    lines = lines_of(ours)
    for line in ("default", "telecom", "unicom", "cn_telecom_anhui"):
        assert able.takes_line(line) is (lines is None or line in lines)
    provider.close()


@pytest.mark.parametrize("kind", sorted(CHANNELS))
def test_a_channel_is_made_from_the_configuration(config: Config, kind: str) -> None:
    channel = config.alerts.channels[kind]
    assert make_channel(kind, {"kind": kind, **values_of(channel)}).name == kind


def test_every_kind_of_provider_and_channel_can_be_configured(config: Config) -> None:
    assert set(config.dns.providers) == set(PROVIDERS)
    assert set(config.alerts.channels) == set(CHANNELS)
