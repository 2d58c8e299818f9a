"""Loading: layers, environment, secrets in files of their own, and what a valid configuration holds."""

import os
import time
from pathlib import Path

import pytest

from app.config import Config, ConfigError, destination, diff_needs_restart, effective, load, secrets_of


@pytest.fixture
def main(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text("name: Main\n")
    return path


def loaded(path: Path, text: str, environ: dict[str, str] | None = None, env: str | None = None) -> Config:
    path.write_text(text)
    return load(path, env=env, environ=environ or {})


def problems(path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(path, text, environ)
    return [f"{Path(p.file).name}:{p.line}:{p.column}: {p.key}: {p.message}" for p in caught.value.problems]


# --- layers --------------------------------------------------------------------------------------------------


def test_an_empty_file_is_the_defaults(main: Path) -> None:
    config = loaded(main, "")
    assert config.sync.max_processes == 160
    assert config.publish.root == main.parent / "publish"
    assert config.health.sleep_times.total == 4
    assert config.files == (main,)


def test_the_environments_file_goes_over_the_main_one(main: Path) -> None:
    (main.parent / "config.dev.yml").write_text("sync: {ssh: {port: 2222}}\nhealth: {canaries: [c]}\n")
    config = loaded(main, "sync: {port: 1, ssh: {user: u}}\nhealth: {canaries: [a, b]}\n", env="dev")
    assert (config.sync.port, config.sync.ssh.user, config.sync.ssh.port) == (1, "u", 2222)
    assert config.health.canaries == ("c",)
    assert config.env == "dev"
    assert len(config.files) == 2


def test_the_environment_picks_file_and_layer(main: Path) -> None:
    other = main.parent / "other.yml"
    other.write_text("name: Other\n")
    (main.parent / "other.dev.yml").write_text("retention_days: 3\n")
    config = load(environ={"LOCKSTEP_CONFIG": str(other), "LOCKSTEP_ENV": "dev"})
    assert (config.name, config.retention_days, config.path) == ("Other", 3, other)
    assert load(other, environ={}).env == "prod"


def test_an_environments_name_cannot_point_elsewhere(main: Path) -> None:
    with pytest.raises(ConfigError, match="LOCKSTEP_ENV"):
        load(main, env="../x", environ={})


def test_a_problem_names_the_file_of_the_layer_it_is_in(main: Path) -> None:
    (main.parent / "config.prod.yml").write_text("\nsync:\n  port: x\n")
    assert problems(main, "sync: {port: 1}\nweb: {port: y}\n") == [
        "config.yml:2:13: web.port: must be a whole number, not 'y'",
        "config.prod.yml:3:9: sync.port: must be a whole number, not 'x'",
    ]


def test_a_file_that_is_missing_or_no_text_is_a_problem(main: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml:1:1: cannot be read: No such file"):
        load(main.parent / "nowhere.yml", environ={})
    main.write_bytes(b"name: x\ndata_dir: \xff\n")
    with pytest.raises(ConfigError, match=r"config\.yml:2:1: not UTF-8"):
        load(main, environ={})


def test_relative_paths_start_from_the_configurations_folder(main: Path) -> None:
    config = loaded(
        main, "data_dir: a/../b\nlog: {path: x.log}\nhooks: [{state: dead, argv: [./h.sh, ./arg]}]\n"
    )
    assert config.data_dir == main.parent / "b"
    assert config.log.path == main.parent / "x.log"
    assert config.hooks[0].argv == (str(main.parent / "h.sh"), "./arg")
    assert loaded(main, "hooks: [{state: dead, argv: [curl, -s]}]").hooks[0].argv == ("curl", "-s")


def test_a_configuration_does_not_change(main: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(main, "").sync.port = 1


def test_three_hundred_nodes_load_within_a_second(main: Path) -> None:
    text = "nodes:\n" + "".join(
        f"  - name: node-{i}\n    host: 10.0.{i // 250}.{i % 250}\n    lines: [telecom, oversea]\n    drained: false\n"
        f"    addresses: [{{static: 10.0.0.1, lines: [telecom], probes: [{{kind: http, url: 'http://x/'}}]}}]\n"
        for i in range(300)
    )
    main.write_text(text)
    best = float("inf")
    for _ in range(3):  # the machine may be busy with something else once
        before = time.perf_counter()
        assert len(load(main, environ={}).nodes) == 300
        best = min(best, time.perf_counter() - before)
    assert best < 1


# --- ${NAME} and LOCKSTEP__… ---------------------------------------------------------------------------------


def test_a_value_reads_the_environment(main: Path) -> None:
    text = 'name: "on ${HOST}, not $${HOST}"\nsync: {port: ${PORT}, compress: ${YES}}\nweb: {host: $HOST}\n'
    with pytest.raises(ConfigError, match=r"web\.host"):
        loaded(main, text, {"HOST": "h", "PORT": "8730", "YES": "true"})
    config = loaded(main, text.replace("$HOST", "h"), {"HOST": "h", "PORT": "8730", "YES": "true"})
    assert (config.name, config.sync.port, config.sync.compress) == (
        "on ${HOST}, not $${HOST}".replace("${HOST}", "h", 1).replace("$$", "$"),
        8730,
        True,
    )


def test_a_variable_that_is_not_set_is_one_problem_naming_it(main: Path) -> None:
    assert problems(main, "sync: {port: ${PORT}}\nname: ${}\n") == [
        "config.yml:1:14: sync.port: the environment variable PORT is not set",
        "config.yml:2:7: name: ${} names no environment variable; $${ writes a plain ${",
    ]


def test_a_variable_overrides_any_key(main: Path) -> None:
    config = loaded(
        main,
        "nodes: [{name: a, host: h}]\ndns: {providers: {my-zone: {kind: zonefile, path: z}}}\n",
        {
            "LOCKSTEP__SYNC__PORT": "8730",
            "LOCKSTEP__NAME": "007",
            "LOCKSTEP__SYNC__PASSWORD": "0123",
            "LOCKSTEP__PUBLISH__EXCLUDE": "[a, 'b c']",
            "LOCKSTEP__SYNC__SSH": "{port: 5}",
            "LOCKSTEP__SYNC__SSH__USER": "u",
            "LOCKSTEP__NODES__0__HOST": "other",
            "LOCKSTEP__DNS__PROVIDERS__MY_ZONE__PATH": "y",
            "LOCKSTEP__ALERTS__STRATEGIES__90": "7",
            "LOCKSTEP__LOG__LEVELS__SYNC": "debug",
            "LOCKSTEP__HEALTH__CANARIES": "",
            "LOCKSTEP_ENV": "prod",
        },
    )
    assert (config.sync.port, config.name, config.publish.exclude) == (8730, "007", ("a", "b c"))
    assert config.sync.password is not None
    assert config.sync.password.get_secret_value() == "0123"
    assert (config.sync.ssh.port, config.sync.ssh.user, config.nodes[0].host) == (5, "u", "other")
    assert config.dns.providers["my-zone"].path == main.parent / "y"  # type: ignore[union-attr]
    assert config.alerts.strategies[90] == 7
    assert config.log.levels == {"sync": "debug"}


def test_a_problem_in_a_variable_names_the_variable(main: Path) -> None:
    environ = {
        "LOCKSTEP__SYNC__PORT": "hunter2",
        "LOCKSTEP__SYNC__POTR": "1",
        "LOCKSTEP__NODES__0__HOST": "h",
    }
    with pytest.raises(ConfigError) as caught:
        loaded(main, "", {**environ, "LOCKSTEP__PUBLISH__PATHS": "[a"})
    assert sorted(str(caught.value).splitlines()) == [
        "LOCKSTEP__NODES__0__HOST: nodes.0: names no key",
        "LOCKSTEP__PUBLISH__PATHS: cannot be read as YAML: check its brackets and quotes",
        "LOCKSTEP__SYNC__PORT: sync.port: must be a whole number",
        "LOCKSTEP__SYNC__POTR: sync.potr: names no key (did you mean 'LOCKSTEP__SYNC__PORT'?)",
    ]


def test_an_override_spares_the_variable_it_replaces(main: Path) -> None:
    assert loaded(main, "name: ${UNSET}\n", {"LOCKSTEP__NAME": "a ${b"}).name == "a ${b"


# --- secrets -------------------------------------------------------------------------------------------------

SECRETS = """
database_url_file: db
web: {metrics_token_file: token}
sync: {password_file: secret, user: u}
nodes: [{name: a, host: h, password_file: secret}]
dns: {providers: {ali: {kind: aliyun, access_key_id_file: secret, access_key_secret_file: secret}}}
alerts:
  channels:
    hook: {kind: webhook, url: https://example.com/x, secret_file: secret}
    any: {kind: apprise, urls_file: urls}
  routes: {default: [hook]}
"""


@pytest.fixture
def secret_files(main: Path) -> Path:
    for name, text in {
        "db": "postgresql://u:s3cret@db.example.com/l\n",
        "token": "t0ken-t0ken\n",
        "secret": "  hunter2 \n",
        "urls": "mailto://a\nslack://b\n",
    }.items():
        (main.parent / name).write_text(text)
        (main.parent / name).chmod(0o600)
    return main.parent


def test_every_secret_can_stand_in_a_file_of_its_own(main: Path, secret_files: Path) -> None:
    config = loaded(main, SECRETS)
    assert {"hunter2", "t0ken-t0ken", "s3cret", "slack://b"} <= secrets_of(config)
    assert destination(config, config.nodes[0]).password == "hunter2"
    assert config.warnings == ()


def test_no_secret_shows_in_repr_or_in_the_effective_configuration(main: Path, secret_files: Path) -> None:
    config = loaded(main, SECRETS)
    for shown in (repr(config), str(config), effective(config), repr(destination(config, config.nodes[0]))):
        for secret in ("hunter2", "t0ken", "s3cret", "slack://b"):
            assert secret not in shown
    assert "database_url: postgresql://db.example.com/(hidden)" in effective(config)
    assert "password: (hidden)" in effective(config)


def test_the_effective_configuration_loads_to_the_same(main: Path) -> None:
    first = loaded(
        main, "name: x\nnodes: [{name: a, host: h, lines: [telecom]}]\nsync: {connect_seconds: 500ms}\n"
    )
    again = loaded(main, effective(first))
    assert effective(again) == effective(first)


def test_a_secret_file_others_can_read_is_a_warning(main: Path, secret_files: Path) -> None:
    (secret_files / "token").chmod(0o640)
    assert loaded(main, SECRETS).warnings == (
        f"{secret_files}/token can be read by others than its owner: chmod 600 {secret_files}/token",
    )


def test_a_secret_given_twice_or_unreadable_is_a_problem(main: Path, secret_files: Path) -> None:
    (secret_files / "empty").write_text("\n")
    text = (
        "sync: {password: x, password_file: secret}\n"
        "web: {metrics_token_file: missing}\n"
        "database_url_file: .\n"
        "nodes: [{name: a, host: h, password_file: empty}, {name: b, host: i, password: null, password_file: secret}]\n"
    )
    assert problems(main, text) == [
        "config.yml:1:21: sync.password_file: stands beside password: give one of the two",
        "config.yml:2:27: web.metrics_token_file: cannot be read: No such file or directory",
        "config.yml:3:20: database_url_file: cannot be read: Is a directory",
        "config.yml:4:43: nodes[0].password_file: cannot be read: it is empty",
    ]


def test_a_layer_above_can_move_a_secret_into_a_file(main: Path, secret_files: Path) -> None:
    config = loaded(main, "sync: {password: x}\n", {"LOCKSTEP__SYNC__PASSWORD_FILE": "secret"})
    assert config.sync.password is not None
    assert config.sync.password.get_secret_value() == "hunter2"


def test_a_file_key_where_there_is_no_secret_is_unknown(main: Path) -> None:
    assert problems(main, "sync: {user_file: x}\n") == ["config.yml:1:8: sync.user_file: unknown key"]


def test_no_problem_shows_a_secrets_value(main: Path) -> None:
    told = problems(main, "sync: {password: 12345}\nweb: {metrics_token: [abc]}\ndatabase_url: hunter2\n")
    assert len(told) == 3
    assert not any(secret in "\n".join(told) for secret in ("12345", "abc", "hunter2"))


# --- what follows from it ------------------------------------------------------------------------------------


def test_only_root_data_and_database_need_a_restart(main: Path) -> None:
    one = loaded(main, "")
    two = loaded(main, "data_dir: d\ndatabase_url: postgresql://h/d\npublish: {root: r}\nsync: {port: 1}\n")
    assert diff_needs_restart(one, two) == ["data_dir", "database_url", "publish.root"]
    assert diff_needs_restart(one, loaded(main, "sync: {port: 1}\nnodes: [{name: a, host: h}]\n")) == []


def test_a_node_takes_from_the_sync_section_what_it_does_not_say(main: Path) -> None:
    config = loaded(
        main,
        "sync: {module: m, port: 1, user: u, password: p, bwlimit: 5m, ssh: {user: s, port: 22, path: /srv/a}}\n"
        "nodes:\n"
        "  - {name: a, host: A.Example.com.}\n"
        "  - {name: b, host: h, port: 2, module: n, user: v, bwlimit: 100}\n"
        "  - {name: c, host: '::1', transport: ssh, ssh: {port: 2222}}\n"
        "  - {name: d, addresses: [{url: https://ip.example.com}]}\n",
    )
    a, b, c, d = (destination(config, node) for node in config.nodes)
    assert (a.host, a.module, a.port, a.user, a.password, a.bwlimit) == (
        "a.example.com",
        "m",
        1,
        "u",
        "p",
        "5m",
    )
    assert (b.module, b.port, b.user, b.bwlimit) == ("n", 2, "v", "100")
    assert (c.transport, c.ssh_user, c.ssh_port, c.ssh_path) == ("ssh", "s", 2222, "/srv/a")
    assert (d.host, destination(config, config.nodes[3], "192.0.2.7").host) == ("", "192.0.2.7")
    assert [node.address_sources[0].source for node in config.nodes] == [
        "hostname",
        "hostname",
        "static",
        "url",
    ]


def test_the_working_directory_is_where_config_yml_is_looked_for(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(main.parent)
    assert load(environ={}).name == "Main"
    main.write_text("nmae: x\n")
    with pytest.raises(ConfigError) as caught:
        load(environ={})
    assert str(caught.value) == "config.yml:1:1: nmae: unknown key (did you mean 'name'?)"
    assert os.fspath(main) not in str(caught.value)
