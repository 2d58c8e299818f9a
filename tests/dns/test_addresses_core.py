"""What counts as an address, what may be published, and what the Keeper keeps."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns.core.address import (
    FAMILIES,
    AddressError,
    Keeper,
    Resolution,
    canonical,
    canonicals,
    family_of,
    only,
    why_unpublishable,
)
from dns.core.model import canonical_value

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str).map(canonical)
global_addresses = st.sampled_from(["8.8.8.8", "1.1.1.1", "223.5.5.5", "2400:3200::1", "2606:4700::1111"])
resolutions = st.one_of(
    st.builds(
        Resolution.found, st.lists(global_addresses, min_size=1, max_size=3), st.sets(st.sampled_from([4, 6]))
    ),
    st.just(Resolution.failed("nobody answers")),
)


@given(addresses)
def test_a_canonical_form_is_its_own_canonical_form_and_the_models(address: str) -> None:
    assert canonical(address) == address
    assert canonical_value("A" if family_of(address) == 4 else "AAAA", address) == address


@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_address_has_one_canonical_form(address: ipaddress.IPv6Address) -> None:
    assert canonical(address.exploded.upper()) == canonical(f"  {address.compressed}\n")


def test_an_ipv4_address_mapped_into_ipv6_is_ipv4() -> None:
    assert canonical("::ffff:192.0.2.7") == "192.0.2.7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "www.example.com",
        "1.2.3",
        "1.2.3.4/24",
        "01.2.3.4",
        "1.2.3.4:80",
        "fe80::1%eth0",
        "[::1]",
        "<html>",
        "1 2",
    ],
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(AddressError):
        canonical(text)


def test_addresses_stand_once_and_in_a_stable_order() -> None:
    assert canonicals(["2001:DB8::1", "192.0.2.20", "192.0.2.3", "192.0.2.3"]) == (
        "192.0.2.3",
        "192.0.2.20",
        "2001:db8::1",
    )


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "169.254.1.1",
        "192.0.2.1", "198.51.100.1", "203.0.113.10", "198.18.0.1", "192.0.0.8", "240.0.0.1", "::1", "fd00::1",
        "2001:db8::1", "3fff::1", "2002::1", "100::1", "fec0::1",
    ],
)  # fmt: skip
def test_private_reserved_and_documentation_addresses_need_permission(address: str) -> None:
    reason = why_unpublishable(address)
    assert reason is not None
    assert address in reason
    assert "allow_private" in reason
    assert why_unpublishable(address, allow_private=True) is None


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1"]
)
def test_what_nobody_could_use_is_refused_even_with_permission(address: str) -> None:
    assert why_unpublishable(address, allow_private=True) is not None


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "223.5.5.5", "100.128.0.1", "2400:3200::1", "172.32.0.1", "192.0.1.1"]
)
def test_public_addresses_may_be_published(address: str) -> None:
    assert why_unpublishable(address) is None


@given(addresses)
def test_nothing_that_the_standard_library_calls_local_is_published_unasked(address: str) -> None:
    if not ipaddress.ip_address(address).is_global:
        assert why_unpublishable(address) is not None
    if why_unpublishable(address, allow_private=True) is not None:
        assert why_unpublishable(address) is not None


def test_a_resolution_cut_down_to_a_family_without_addresses_is_a_failure() -> None:
    both = Resolution.found(["8.8.8.8", "2400:3200::1"])
    assert only(both, 6, "x").addresses == ("2400:3200::1",)
    missing = only(Resolution.found(["8.8.8.8"]), 6, "interface eth0")
    assert not missing.ok
    assert missing.reason == "interface eth0: has no IPv6 address"
    assert missing.unsure == FAMILIES


def test_a_source_that_fails_keeps_its_address_for_keep_seconds_and_says_so() -> None:
    keeper, change = Keeper(keep_seconds=100).observe(Resolution.found(["8.8.8.8"]), 0)
    assert change is not None
    assert change.moved
    failed, said = keeper.observe(Resolution.failed("no route"), 60)
    assert failed.addresses == ("8.8.8.8",)
    assert said is not None
    assert said.failing
    assert said.reason == "keeping 8.8.8.8 for up to 40 s more: no route"
    again, nothing_new = failed.observe(Resolution.failed("no route"), 90)
    assert nothing_new is None
    gone, given_up = again.observe(Resolution.failed("no route"), 100)
    assert gone.addresses == ()
    assert given_up is not None
    assert given_up.old == ("8.8.8.8",)
    assert "given up after 100 s" in given_up.reason
    assert gone.status(100) == "no address: no route"


def test_a_source_that_answers_again_is_told_once_and_moves_nothing() -> None:
    keeper, _ = Keeper().observe(Resolution.found(["8.8.8.8"]), 0)
    failed, _ = keeper.observe(Resolution.failed("no route"), 1)
    well, change = failed.observe(Resolution.found(["8.8.8.8"]), 2)
    assert change is not None
    assert not change.moved
    assert not change.failing
    assert well.status(2) is None
    assert well.observe(Resolution.found(["8.8.8.8"]), 3)[1] is None


def test_a_changed_address_replaces_the_old_one_and_is_reported() -> None:
    keeper, _ = Keeper().observe(Resolution.found(["8.8.8.8"]), 0)
    moved, change = keeper.observe(Resolution.found(["1.1.1.1"]), 5)
    assert moved.addresses == ("1.1.1.1",)
    assert change is not None
    assert (change.old, change.new, change.reason) == (("8.8.8.8",), ("1.1.1.1",), "8.8.8.8 became 1.1.1.1")


def test_a_family_that_could_not_be_asked_keeps_its_addresses_while_the_other_moves_on() -> None:
    keeper, _ = Keeper(keep_seconds=100).observe(Resolution.found(["8.8.8.8", "2400:3200::1"]), 0)
    half, change = keeper.observe(Resolution.found(["1.1.1.1"], unsure={6}, reason="AAAA: no answer"), 50)
    assert half.addresses == ("1.1.1.1", "2400:3200::1")
    assert change is not None
    assert change.failing
    late, _ = half.observe(Resolution.found(["1.1.1.1"], unsure={6}, reason="AAAA: no answer"), 120)
    assert late.addresses == ("1.1.1.1",)
    assert late.status(120) is None


def test_a_keeper_restored_from_the_database_stands_for_what_it_knew() -> None:
    keeper = Keeper(keep_seconds=100, confirmed={"8.8.8.8": 10.0}, known=True)
    failed, _ = keeper.observe(Resolution.failed("resolver down"), 50)
    assert failed.addresses == ("8.8.8.8",)


@given(st.lists(st.tuples(resolutions, st.floats(0, 80)), max_size=12))
def test_a_keeper_never_holds_what_is_older_than_keep_seconds_nor_drops_what_was_just_named(
    steps: list[tuple[Resolution, float]],
) -> None:
    keeper, now = Keeper(keep_seconds=60), 0.0
    for resolution, pause in steps:
        now += pause
        before = keeper.addresses
        keeper, change = keeper.observe(resolution, now)
        assert all(now - at < 60 for at in keeper.confirmed.values())
        assert set(resolution.addresses) <= set(keeper.addresses) <= set(resolution.addresses) | set(before)
        assert keeper.addresses == canonicals(keeper.addresses)
        if keeper.addresses != before:
            assert change is not None
            assert (change.old, change.new) == (before, keeper.addresses)
        if not resolution.ok:
            assert keeper.status(now) is not None
