"""What must hold of values and between sections, each with an example that breaks it."""

from pathlib import Path

import pytest

from app.config import ConfigError, load
from app.config.extra_args import FLAGS, WITH_VALUE
from app.config.schema.providers import TTL_LIMITS


def told(folder: Path, text: str) -> list[str]:
    path = folder / "config.yml"
    path.write_text(text)
    try:
        load(path, environ={})
    except ConfigError as error:
        return [f"{problem.key}: {problem.message}" for problem in error.problems]
    return []


def one(folder: Path, text: str) -> str:
    found = told(folder, text)
    assert len(found) == 1, found
    return found[0]


# --- names and destinations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "sh-telecom", "10.0.0.1", "a_b", "2001:db8::1", "7"])
def test_a_nodes_name_is_letters_digits_and_four_signs(tmp_path: Path, name: str) -> None:
    assert told(tmp_path, f"nodes: [{{name: {name!r}, host: h}}]") == []


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a/b", "ä", "a\\n", "a\\0"])
def test_any_other_name_is_refused(tmp_path: Path, name: str) -> None:
    assert one(tmp_path, f'nodes: [{{name: "{name}", host: h}}]').startswith("nodes[0].name: must")


@pytest.mark.parametrize("key", ["host", "module"])
@pytest.mark.parametrize("value", ["-e sh", "--daemon", "a b", "a\\tb", "a\\nb", ""])
def test_what_names_a_destination_takes_no_blanks_controls_or_leading_dash(
    tmp_path: Path, key: str, value: str
) -> None:
    other = "" if key == "host" else ", host: h"
    assert one(tmp_path, f'nodes: [{{name: a, {key}: "{value}"{other}}}]').startswith(f"nodes[0].{key}: must")


@pytest.mark.parametrize(
    "key", ["user: a@b", "module: ../x", "module: /x", "bwlimit: fast", "ssh: {path: /}", "ssh: {path: a}"]
)
def test_other_parts_of_a_destination_are_checked_too(tmp_path: Path, key: str) -> None:
    assert len(told(tmp_path, f"nodes: [{{name: a, host: h, {key}}}]")) == 1


def test_two_nodes_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "earlier node" in one(tmp_path, "nodes: [{name: a, host: h}, {name: a, host: i}]")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("host: h", "host: H."),
        ("host: h", "host: h, port: 873, module: content"),
        ("host: '2001:db8::1'", "host: '2001:DB8:0::1'"),
        ("host: 192.0.2.1", "addresses: [{static: 192.0.2.1}]"),
        ("host: h, transport: ssh, ssh: {path: /srv/a}", "host: h, transport: ssh, ssh: {path: /srv/./a/}"),
    ],
)
def test_two_nodes_with_one_destination_are_refused_naming_both(
    tmp_path: Path, first: str, second: str
) -> None:
    found = one(tmp_path, f"nodes:\n  - {{name: one, {first}}}\n  - {{name: two, {second}}}\n")
    assert found.startswith("nodes[1].name: one and two have one destination")


@pytest.mark.parametrize(
    "second",
    ["host: i", "host: h, port: 1", "host: h, module: m", "host: h, transport: ssh, ssh: {path: /srv/a}"],
)
def test_nodes_that_differ_in_host_port_module_or_transport_are_fine(tmp_path: Path, second: str) -> None:
    assert told(tmp_path, f"nodes:\n  - {{name: one, host: h}}\n  - {{name: two, {second}}}\n") == []


@pytest.mark.parametrize("rate", ["1000000", "1.5m", "10MB", "0", "512KiB"])
def test_a_rate_is_taken_as_rsync_writes_it(tmp_path: Path, rate: str) -> None:
    (tmp_path / "config.yml").write_text(f"sync: {{bwlimit: {rate}}}")
    assert load(tmp_path / "config.yml", environ={}).sync.bwlimit == rate


@pytest.mark.parametrize("text", ["nodes: [{name: 1.10, host: h}]", "hooks: [{on: batch, argv: [sleep, 5]}]"])
def test_a_number_where_text_belongs_is_no_guess(tmp_path: Path, text: str) -> None:
    assert "must be text: put it in quotes" in one(tmp_path, text)


def test_ssh_needs_a_folder_on_the_node(tmp_path: Path) -> None:
    assert "needs a path" in one(tmp_path, "sync: {transport: ssh}\nnodes: [{name: a, host: h}]")
    assert told(tmp_path, "sync: {transport: ssh, ssh: {path: /srv/a}}\nnodes: [{name: a, host: h}]") == []


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("{static: 192.0.2.1, lines: [telecom], shared: true}", True),
        ("{static: 192.0.2.256}", False),
        ("{hostname: dns1.example.com, family: 6}", True),
        ("{reported: true, keep_seconds: 1h}", True),
        ("{reported: false}", False),
        ("{url: https://ip.example.com}", True),
        ("{url: [https://a.example.com, https://b.example.com], family: 4}", True),
        ("{url: ftp://a.example.com}", False),
        ("{interface: eth0, family: 6, match: '^2001:'}", True),
        ("{interface: eth0, match: '('}", False),
        ("{command: [prog, arg]}", True),
        ("{command: prog arg}", False),
        ("{static: 192.0.2.1, hostname: h}", False),
        ("{lines: [telecom]}", False),
        ("{static: 192.0.2.1, family: 4}", False),
        ("{static: 192.0.2.1, probes: [{kind: http, url: 'http://{address}/'}]}", True),
    ],
)
def test_an_address_has_exactly_one_source(tmp_path: Path, address: str, fine: bool) -> None:
    assert (told(tmp_path, f"nodes: [{{name: a, host: h, addresses: [{address}]}}]") == []) is fine


def test_a_node_without_host_and_addresses_is_refused(tmp_path: Path) -> None:
    assert "needs a host or addresses" in one(tmp_path, "nodes: [{name: a}]")


# --- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sync: {port: 0}",
        "sync: {port: 65536}",
        "web: {port: -1}",
        "sync: {max_processes: 0}",
        "sync: {max_audits: -1}",
        "sync: {audit_seconds: 0}",
        "sync: {connect_seconds: 0}",
        "sync: {connect_seconds: 10m}",
        "sync: {timeout_seconds: 11m}",
        "sync: {stall_seconds: -1}",
        "publish: {max_shrink_percent: 101}",
        "publish: {quiet_seconds: 1, max_delay_seconds: 0.5}",
        "health: {unhealth_tries: 3, unhealth_fatal: 4}",
        "health: {sleep_times: {ready: 0}}",
        "health: {probes: [{kind: ping, attempts: 0}]}",
        "health: {probes: [{kind: tcp}]}",
        "health: {probes: [{kind: http, url: 'http://h/', status: [99]}]}",
        "retention_days: 0",
        "log: {keep: -1}",
        "dns: {hold_down_seconds: 11m}",
        "alerts: {strategies: {90: 0}}",
        "alerts: {strategies: {-5: 3}}",
    ],
)
def test_impossible_numbers_are_refused(tmp_path: Path, text: str) -> None:
    assert len(told(tmp_path, text)) == 1


# --- paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "publish: {root: var}",
        "publish: {root: var/publish}",
        "publish: {root: data/.., paths: []}",
        "data_dir: publish",
        "data_dir: publish/var",
        "publish: {root: zones/a}\ndns: {providers: {z: {kind: zonefile, path: zones}}}",
        "publish: {root: zones}\ndns: {providers: {z: {kind: zonefile, path: zones/a}}}",
        "publish: {root: link/publish}",
        "log: {path: publish/x.log}",
        "publish: {root: /}",
    ],
)
def test_the_publish_directory_keeps_apart_from_what_the_program_writes(tmp_path: Path, text: str) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "link").symlink_to("var")
    assert any(found.startswith(("publish.root:", "log.path:")) for found in told(tmp_path, text))


def test_the_programs_own_templates_are_never_published(tmp_path: Path) -> None:
    templates = Path(__file__).parents[2] / "templates"
    for root in (templates, templates / "x", templates.parent):
        assert any("templates" in found for found in told(tmp_path, f"publish: {{root: {root}}}"))


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../b", "", "..", "/", "a\\0b"])
def test_carried_folders_lie_inside_the_root(tmp_path: Path, path: str) -> None:
    assert one(tmp_path, f'publish: {{paths: ["{path}"]}}').startswith(
        "publish.paths[0]: must be a folder inside"
    )


def test_carried_folders_have_one_spelling(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("publish: {paths: [a/, ./b//c]}")
    config = load(tmp_path / "config.yml", environ={})
    assert config.publish.paths == ("a", "b/c")
    assert config.publish.path_bytes == (b"a", b"b/c")


@pytest.mark.parametrize("pattern", ["+ a", "- a", "!", "! a", "", " ", "a\\nb", "a\\0b"])
def test_exclude_patterns_are_patterns_and_no_rules(tmp_path: Path, pattern: str) -> None:
    assert one(tmp_path, f'publish: {{exclude: ["{pattern}"]}}').startswith("publish.exclude[0]: must be")


# --- arguments for rsync -------------------------------------------------------------------------------------

FORBIDDEN = """
--delete --delete-before --delete-excluded --del --max-delete=1 --ignore-errors --remove-source-files -u --update
--inplace --append --existing --ignore-existing --ignore-non-existing --size-only --ignore-times -I --backup -b
--backup-dir=x --suffix=x --files-from=x --from0 -0 -n --dry-run --rsh=sh -e --daemon --exclude=x --include=x --filter=x
-f -F -C --cvs-exclude --exclude-from=x --out-format=x --info=all --debug=all -v -q -h --password-file=x --copy-links -L
--copy-unsafe-links --safe-links --munge-links --copy-dirlinks -k --keep-dirlinks -K --temp-dir=x -T --partial-dir=x
--partial -P --omit-dir-times --omit-link-times --port=1 --sockopts=x --rsync-path=x --remote-option=x -M --log-file=x
--write-batch=x --list-only --min-size=1 --max-size=1 --compare-dest=x --link-dest=x --fuzzy -y --modify-window=1 -R
--timeout=1 --contimeout=1 --no-perms --no-times --no-links --super --fake -rn -on -ov -- - x /tmp/x --chmod --chmod=
../ --bwlimit -a -r -z --blocking-io --protocol=29 --stop-after=1 --early-input=x --trust-sender --mkpath --relative
"""


@pytest.mark.parametrize("argument", FORBIDDEN.split())
def test_an_argument_that_could_break_a_promise_is_refused_with_what_is_allowed(
    tmp_path: Path, argument: str
) -> None:
    found = one(tmp_path, f'sync: {{extra_args: ["-o", "{argument}"]}}')
    assert found.startswith(f"sync.extra_args: {argument!r} could break a promise; allowed are")
    assert "--numeric-ids" in found


@pytest.mark.parametrize(
    "argument", [*sorted(FLAGS), *(f"{option}=1" for option in sorted(WITH_VALUE)), "-og", "-AXH"]
)
def test_harmless_arguments_are_allowed(tmp_path: Path, argument: str) -> None:
    assert told(tmp_path, f'sync: {{extra_args: ["{argument}"]}}') == []


# --- services ------------------------------------------------------------------------------------------------

PROVIDERS = """
nodes: [{name: a, host: h}, {name: b, host: i}]
dns:
  providers:
    zone: {kind: zonefile, path: zones}
    lan: {kind: rfc2136, server: 127.0.0.1, lines: {default: {key_file: k}, telecom: {key_file: k}}}
    ali: {kind: aliyun, access_key_id: i, access_key_secret: s}
    cf: {kind: cloudflare, token: t}
    pod: {kind: dnspod, secret_id: i, secret_key: s}
    aws: {kind: route53}
    own: {kind: callback, url: "http://h/?#{action}"}
    lined: {kind: callback, url: "http://h/?#{action}&#{line}"}
  services:
"""


def service(folder: Path, keys: str, *, provider: str = "zone", record: str = "www") -> list[str]:
    return told(
        folder,
        PROVIDERS
        + f"    - {{name: w, provider: {provider}, zone: example.com, record: '{record}', {keys}}}\n",
    )


@pytest.mark.parametrize("record", ["www", "@", "*", "*.www", "a.b-c", "_x", "a" * 63, "WWW", "xn--fiq228c"])
def test_a_record_name_is_labels_of_letters_digits_and_dashes(tmp_path: Path, record: str) -> None:
    assert service(tmp_path, "ttl: 60", record=record) == []


@pytest.mark.parametrize(
    "record",
    [
        "",
        "-a",
        "a-",
        "a..b",
        "a b",
        "a.",
        ".",
        "a" * 64,
        "a*",
        "w.*",
        "中文",
        "a/b",
        ".".join(["a" * 60] * 5),
    ],
)
def test_any_other_record_name_is_refused(tmp_path: Path, record: str) -> None:
    assert len(service(tmp_path, "ttl: 60", record=record)) == 1


@pytest.mark.parametrize("kind", sorted(TTL_LIMITS))
def test_a_ttl_out_of_the_providers_range_is_refused(tmp_path: Path, kind: str) -> None:
    names = {
        "zonefile": "zone",
        "rfc2136": "lan",
        "aliyun": "ali",
        "cloudflare": "cf",
        "dnspod": "pod",
        "route53": "aws",
    }
    name, limits = names.get(kind, "own"), TTL_LIMITS[kind]
    assert service(tmp_path, f"lines: {{default: {{nodes: all}}}}, ttl: {limits[0]}", provider=name) == []
    assert service(tmp_path, f"lines: {{default: {{nodes: all}}}}, ttl: {limits[1]}", provider=name) == []
    assert (
        len(service(tmp_path, f"lines: {{default: {{nodes: all}}}}, ttl: {limits[1] + 1}", provider=name))
        == 1
    )
    assert len(service(tmp_path, "lines: {default: {nodes: all}}, ttl: -1", provider=name)) == 1


@pytest.mark.parametrize(
    ("provider", "line", "fine"),
    [
        ("zone", "anything", True),
        ("lan", "telecom", True),
        ("lan", "unicom", False),
        ("ali", "cn_telecom_anhui", True),
        ("pod", "telecom", True),
        ("cf", "default", True),
        ("cf", "telecom", False),
        ("aws", "telecom", False),
        ("own", "telecom", False),
        ("lined", "telecom", True),
    ],
)
def test_a_line_the_provider_cannot_express_is_refused(
    tmp_path: Path, provider: str, line: str, fine: bool
) -> None:
    assert (service(tmp_path, f"lines: {{{line}: {{nodes: all}}}}", provider=provider) == []) is fine


def test_lines_taken_from_the_nodes_are_checked_as_well(tmp_path: Path) -> None:
    text = PROVIDERS.replace("{name: b, host: i}", "{name: b, host: i, lines: [telecom, unicom]}")
    text += "    - {name: w, provider: lan, zone: example.com, record: w}\n"
    assert "which carry unicom, but lan (rfc2136) can express only default, telecom" in one(tmp_path, text)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("lines: {default: {nodes: [c]}}", "c is not under nodes"),
        ("lines: {default: {tiers: [[a], [c]]}}", "c is not under nodes"),
        ("lines: {default: {nodes: all, weights: {c: 1}}}", "c is not under nodes"),
        ("lines: {default: {nodes: all, weights: {a: 101}}}", "at most 100"),
        ("lines: {default: {nodes: all, max_answers: 0}}", "at least 1"),
        ("lines: {default: {nodes: all, fallback: some}}", "'any' or 'none'"),
        ("lines: {default: {nodes: all, tiers: [[a]]}}", "exactly one of nodes and tiers"),
        ("lines: {default: {}}", "exactly one of nodes and tiers"),
        ("lines: {default: {nodes: []}}", "must not be empty"),
        ("lines: {default: {nodes: [a, a]}}", "twice"),
        ("lines: {}", "must not be empty"),
        ("types: [MX]", "'A' or 'AAAA'"),
        ("types: []", "must not be empty"),
        ("types: [A, A]", "twice"),
        ("when_none_ready: fallback", "needs fallback_addresses"),
        ("when_none_ready: fallback, fallback_addresses: [x]", "must be an IPv4 or IPv6 address"),
        ("types: [A], fallback_addresses: ['2001:db8::1']", "needs type AAAA"),
    ],
)
def test_a_service_that_does_not_fit_is_refused(tmp_path: Path, keys: str, said: str) -> None:
    found = service(tmp_path, keys)
    assert len(found) == 1
    assert said in found[0]


def test_an_address_that_will_not_be_published_is_a_warning(tmp_path: Path) -> None:
    text = PROVIDERS.replace("host: h", "host: 10.0.0.1").replace("host: i", "host: 192.168.0.1")
    text += (
        "    - {name: w, provider: zone, zone: example.com, record: w, lines: {default: {nodes: [a]}}%s}\n"
    )
    (tmp_path / "config.yml").write_text(text % "")
    (warning,) = load(tmp_path / "config.yml", environ={}).warnings
    assert warning.startswith("service w will not publish a: 10.0.0.1 is private")
    (tmp_path / "config.yml").write_text(text % ", allow_private: true")
    assert load(tmp_path / "config.yml", environ={}).warnings == ()


def test_an_address_nobody_could_use_is_no_fallback(tmp_path: Path) -> None:
    assert (
        "is a multicast address"
        in service(tmp_path, "fallback_addresses: [224.0.0.1], allow_private: true")[0]
    )


def test_nodes_that_a_program_will_print_may_be_named_beforehand(tmp_path: Path) -> None:
    text = (
        PROVIDERS
        + "    - {name: w, provider: zone, zone: example.com, record: w, lines: {default: {nodes: [c]}}}\n"
    )
    assert told(tmp_path, text + "node_source: {command: [./nodes]}\n") == []


def test_two_services_cannot_claim_one_record_set(tmp_path: Path) -> None:
    first = "    - {name: v, provider: zone, zone: example.com, record: w, lines: {default: {nodes: all}}}\n"
    second = "    - {name: w, provider: zone, zone: Example.com., record: W, lines: {%s: {nodes: all}}, types: [%s]}\n"
    assert "v claims w.example.com A on line default already" in one(
        tmp_path, PROVIDERS + first + second % ("default", "A")
    )
    assert told(tmp_path, PROVIDERS + first + second % ("telecom", "A")) == []
    derived = "    - {name: w, provider: zone, zone: example.com, record: w}\n"
    assert "v claims w.example.com A already" in one(tmp_path, PROVIDERS + first + derived)
    assert "v claims" in one(
        tmp_path, PROVIDERS + derived.replace("name: w", "name: v") + second % ("default", "A")
    )


def test_a_callback_must_be_able_to_withdraw(tmp_path: Path) -> None:
    assert "cannot withdraw" in one(
        tmp_path, "dns: {providers: {o: {kind: callback, url: 'http://h/#{ip}'}}}"
    )
    fine = "dns: {providers: {o: {kind: callback, url: 'http://h/#{ip}', withdraw: {url: 'http://h/x'}}}}"
    assert told(tmp_path, fine) == []


# --- alerts and hooks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts: {channels: {a: {kind: command, argv: [x]}}}", "ops is not under alerts.channels"),
        ("alerts: {routes: {dead: [b]}}", "b is not under alerts.channels"),
        (
            "alerts: {channels: {a: {kind: email, to: [], from: a@b, host: h}}, routes: {}}",
            "must not be empty",
        ),
        (
            "alerts: {channels: {a: {kind: email, to: [x], from: a@b, host: h}}, routes: {}}",
            "must be a mail address",
        ),
        (
            "alerts: {channels: {a: {kind: email, to: a@b, from: a@b, host: h, user: u}}, routes: {}}",
            "together",
        ),
        ("alerts: {channels: {a: {kind: webhook, url: x}}, routes: {}}", "must be an http"),
        ("alerts: {channels: {a: {kind: wecom, url: 'https://h/', secret: x}}, routes: {}}", "not signed"),
        ("hooks: [{state: dead}]", "exactly one of argv, url, channel"),
        ("hooks: [{argv: [x]}]", "exactly one of state, on"),
        ("hooks: [{state: dead, on: batch, argv: [x]}]", "not state and on"),
        ("hooks: [{state: dead, argv: [x], url: 'http://h/'}]", "not argv and url"),
        ("hooks: [{state: gone, argv: [x]}]", "'recovery'"),
        ("hooks: [{on: batch, argv: []}]", "must not be empty"),
        ("hooks: [{on: batch, argv: ./x}]", "must be a list of the program"),
        ("hooks: [{on: batch, channel: ops}]", "ops is not under alerts.channels"),
    ],
)
def test_channels_routes_and_hooks_fit_together(tmp_path: Path, text: str, said: str) -> None:
    assert said in one(tmp_path, text)


def test_a_database_url_must_be_one_that_can_be_used(tmp_path: Path) -> None:
    for url in ("postgresql://u:p@h/d", "mysql+pymysql://u:p@h/d", "sqlite:////tmp/x.db"):
        assert told(tmp_path, f"database_url: {url}") == []
    for url in ("mongodb://h/d", "x", "postgresql://"):
        assert "must be a database URL" in one(tmp_path, f"database_url: {url}")


@pytest.mark.parametrize(
    ("request_url", "most"), [("https://x/?a=#{action}&ip=#{ip}", 1), ("https://x/?a=#{action}&ip=#{ips}", 0)]
)
def test_a_callback_that_sets_one_address_takes_no_more_answers(
    tmp_path: Path, request_url: str, most: int
) -> None:
    def text(answers: int) -> str:
        return (
            f"dns: {{providers: {{p: {{kind: callback, url: '{request_url}'}}}}, services: [{{name: s, provider: p, "
            f"zone: example.com, record: w, types: [A], lines: {{default: {{nodes: all, max_answers: {answers}}}}}}}]}}"
        )

    assert told(tmp_path, text(1)) == []
    found = told(tmp_path, text(2))
    assert len(found) == most
    if most:
        assert found[0].startswith("dns.services[0].lines.default.max_answers: p sets one address")
