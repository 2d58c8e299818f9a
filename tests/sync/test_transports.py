"""What a destination becomes for rsync, and which destinations are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.args import RsyncOptions
from sync.core.model import Destination
from sync.transports import DestinationError, reach

DAEMON = Destination("n", "node.example.com")
SSH = Destination("n", "node.example.com", transport="ssh", ssh_path="/srv/www")
OPTIONS = RsyncOptions(connect_seconds=2.5)


def test_a_daemon_is_reached_without_delayed_packets_and_with_a_limit() -> None:
    remote = reach(replace(DAEMON, user="me", password="secret", port=8873, bwlimit="10m"), OPTIONS)
    assert remote.destination == "rsync://me@node.example.com:8873/content/"
    assert remote.options == ("--sockopts=TCP_NODELAY", "--contimeout=3", "--bwlimit=10m")
    assert remote.environment == {"RSYNC_PASSWORD": "secret"}
    assert "secret" not in repr(remote)


def test_a_daemon_without_password_never_makes_rsync_ask() -> None:
    assert reach(DAEMON, OPTIONS).environment == {"RSYNC_PASSWORD": ""}


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::1", "[::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("fe80::1%eth0", "[fe80::1%eth0]"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_ipv6_addresses_stand_in_brackets(host: str, shown: str) -> None:
    assert reach(replace(DAEMON, host=host), OPTIONS).destination == f"rsync://{shown}:873/content/"
    assert reach(replace(SSH, host=host), OPTIONS).destination == f"{shown}:/srv/www/"


def test_a_folder_below_a_module_is_where_the_names_begin() -> None:
    remote = reach(replace(DAEMON, module="/content/www/"), OPTIONS)
    assert (remote.destination, remote.prefix) == ("rsync://node.example.com:873/content/www/", b"www")
    assert reach(SSH, OPTIONS).prefix == b"srv/www"


def test_ssh_asks_nothing_and_believes_only_known_keys() -> None:
    remote = reach(
        replace(SSH, ssh_user="me", ssh_port=2222, ssh_key_file="/k e/y", ssh_known_hosts="/k/n%"), OPTIONS
    )
    assert remote.destination == "me@node.example.com:/srv/www/"
    assert remote.options[:2] == ("-s", "-e")
    words = remote.options[2].split(" -o ")
    assert {"BatchMode=yes", "Port=2222", "ConnectTimeout=3", "StrictHostKeyChecking=yes"} <= set(words)
    assert {"IdentitiesOnly=yes", "'IdentityFile=\"/k e/y\"'", "'UserKnownHostsFile=\"/k/n%%\"'"} <= set(
        words
    )
    assert "StrictHostKeyChecking=accept-new" in reach(SSH, OPTIONS).options[2]


BAD = [
    "",
    "-x",
    "a b",
    "a\nb",
    "a\tb",
    "a\x00b",
    "$(id)",
    "`id`",
    "a;b",
    "a'b",
    'a"b',
    "a*",
    "a?b",
    "a\\b",
    "a|b",
    "{a}",
]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("base", [DAEMON, SSH])
@pytest.mark.parametrize("key", ["host", "module", "ssh_path", "user", "ssh_user", "ssh_key_file"])
def test_words_that_something_could_take_for_more_are_refused(
    base: Destination, key: str, value: str
) -> None:
    destination = replace(base, **{key: value})  # type: ignore[arg-type]
    used = {"host", "module", "user"} if base is DAEMON else {"host", "ssh_path", "ssh_user"}
    if key not in used or (not value and "user" in key):
        return
    with pytest.raises(DestinationError, match=r"node n: .* cannot be used; "):
        reach(destination, OPTIONS)


@pytest.mark.parametrize(
    "change", [{"port": 0}, {"port": 70000}, {"transport": "ftp"}, {"host": "::x"}, {"user": "a:b"}]
)
def test_impossible_daemons_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DestinationError):
        reach(replace(DAEMON, **change), OPTIONS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"ssh_port": 0}, {"ssh_path": None}, {"ssh_key_file": "a'b"}, {"ssh_known_hosts": "a\nb"}]
)
def test_impossible_ssh_destinations_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DestinationError):
        reach(replace(SSH, **change), OPTIONS)  # type: ignore[arg-type]


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_a_destination_is_one_word_that_is_no_option(host: str, module: str, user: str) -> None:
    for destination in (
        replace(DAEMON, host=host, module=module, user=user),
        replace(SSH, host=host, ssh_path=module, ssh_user=user),
    ):
        try:
            said = reach(destination, OPTIONS).destination
        except DestinationError:
            continue
        assert not said.startswith("-")
        assert len(said.split()) == 1
        assert said.isprintable() or not said.isascii()
