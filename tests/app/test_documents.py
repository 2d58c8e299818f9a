"""Tries what the documents say: the commands exist, the links lead somewhere, the configurations work."""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener

import click
import pytest
from ruamel.yaml import YAML

from app import create_app
from app.config import load
from tests.servers_lockstep import ROOT, Lockstep
from tests.servers_lockstep import lockstep as lockstep
from tests.servers_rsync import free_port, greeting

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


# ── links and commands ───────────────────────────────────────────────────────────────────────────────────


def links() -> Iterator[tuple[Path, str]]:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            if "://" not in target and not target.startswith("#"):
                yield document, target.partition("#")[0]


@pytest.mark.parametrize(("document", "target"), list(links()), ids=lambda value: Path(value).name)
def test_every_link_leads_somewhere(document: Path, target: str) -> None:
    assert (document.parent / target).exists(), f"{document.name} points to {target}"


def commands() -> Iterator[str]:
    for document in [*DOCUMENTS, ROOT / "deploy" / "compose.yml"]:
        for line in re.findall(r"\bflask (.+)", document.read_text()):
            yield re.split(r"[`#()]|  |;", line)[0].strip()


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_that_is_named_exists_with_its_options(line: str) -> None:
    here: click.Command = create_app().cli
    for word in line.split():
        if isinstance(here, click.Group):
            if word in ("COMMAND", "…"):
                return
            found = here.commands.get(word)
            assert found is not None, f"flask {line}: there is no {word}"
            here = found
        elif word.startswith("--"):
            known = {
                option for parameter in here.params for option in parameter.opts + parameter.secondary_opts
            }
            assert word.partition("=")[0] in known, f"flask {line}: there is no {word}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?:`|^)make ([a-z]+)", document.read_text(), re.MULTILINE)
    }
    assert named <= targets


def test_every_decision_stands_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    assert not [path.name for path in folder.glob("0*.md") if f"({path.name})" not in index]


# ── configurations of the node's side ────────────────────────────────────────────────────────────────────


def test_the_readme_s_rsyncd_conf_takes_what_is_sent_with_its_password(lockstep: Lockstep) -> None:
    (text,) = blocks(ROOT / "README.md", "ini")
    folder = lockstep.folder / "readme"
    (folder / "html").mkdir(parents=True)
    secrets = folder / "rsyncd.secrets"
    secrets.write_text("lockstep:open sesame\n")
    secrets.chmod(0o600)
    for old, new in (
        ("/var/www/html", str(folder / "html")),
        ("/etc/rsyncd.secrets", str(secrets)),
        ("/var/log/rsyncd.log", str(folder / "log")),
        ("192.0.2.1", "127.0.0.1"),
        ("www-data", "root"),
    ):
        assert old in text
        text = text.replace(old, new)
    if stat.S_ISDIR((folder / "html").stat().st_mode) and folder.owner() != "root":
        text = re.sub(r"(?m)^[ug]id = .*\n", "", text)
    (folder / "rsyncd.conf").write_text(text)
    port = free_port()
    command = [
        "rsync",
        "--daemon",
        "--no-detach",
        f"--config={folder}/rsyncd.conf",
        f"--port={port}",
        "--address=127.0.0.1",
    ]
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        lockstep.until(lambda: greeting("127.0.0.1", port), "the daemon greets")
        (lockstep.publish / "link").symlink_to("index.html")
        arguments = ("nodes", "add", "readme", "127.0.0.1", "--port", str(port), "--user", "lockstep")
        assert lockstep.run(*arguments, stdin="open sesame\n").returncode == 0
        (row,) = lockstep.json("sync-once", "--node", "readme", "--no-dns")["nodes"]
        assert row["in_sync"], row
        assert (folder / "html" / "link").readlink() == Path("index.html")
    finally:
        daemon.terminate()
        daemon.wait(10)


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="no nginx here"
)
def test_nginx_redirects_to_the_node_s_badge_and_hides_files_under_way(tmp_path: Path) -> None:
    (server,) = blocks(ROOT / "docs" / "nodes.md", "nginx")
    port, html = free_port(), tmp_path / "html"
    (html / ".~tmp~").mkdir(parents=True)
    for name in ("index.html", ".~tmp~/index.html", ".index.html.aB3dE6", ".well-known"):
        (html / name).write_text(name)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    server = server.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/var/www/html", str(html))
    paths = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if tmp_path.owner() == "root" else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{server} }}\n"
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "nginx"
    process = subprocess.Popen(
        [program, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    )

    def status(path: str) -> tuple[int, str | None]:
        try:
            with build_opener(_Stay).open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, None
        except HTTPError as error:
            error.close()
            return error.code, error.headers["Location"]

    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        badge = "https://status.example.com/v1/badge/sh-telecom.svg"
        assert status("/.lockstep/badge.svg") == (302, badge), (tmp_path / "error.log").read_text()
        assert status("/index.html")[0] == 200
        assert status("/.~tmp~/index.html")[0] == 404
        assert status("/.index.html.aB3dE6")[0] == 404
        assert status("/.well-known")[0] == 200
    finally:
        process.terminate()
        process.wait(10)


def test_every_page_has_a_picture_and_the_readme_shows_them_all() -> None:
    pictures = {path.stem for path in (ROOT / "docs" / "screenshots").glob("*.png")}
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r'(?:!\[[^]]*\]\(|src=")docs/screenshots/([a-z-]+)\.png', readme)
    assert sorted(shown) == sorted(pictures)
    taken = re.findall(r'\("([a-z-]+)", "/', (ROOT / "tools" / "screenshots.py").read_text())
    assert set(taken) == pictures


def test_the_ssh_example_is_a_valid_configuration(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "docs" / "nodes.md", "yaml")
    (tmp_path / "config.yml").write_text(text)
    (node,) = load(tmp_path / "config.yml", "prod", environ={}).nodes
    assert (node.transport, node.ssh.path if node.ssh else None) == ("ssh", "/var/www/html")


# ── containers, as far as that goes without an engine ────────────────────────────────────────────────────


def dockerfile(path: Path) -> list[tuple[str, str]]:
    """The instructions, continued lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", path.read_text()).replace("\\\n", " ")
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


FILES = [ROOT / "deploy" / "Dockerfile", ROOT / "deploy" / "compose" / "Dockerfile.node"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing_where_it_is_installed(path: Path) -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint here")
    done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def faults(instructions: list[tuple[str, str]]) -> Iterator[str]:
    """What hadolint would find of what it is mostly asked for; its numbers."""
    words = [word for word, _ in instructions]
    values = dict(instructions)  # the last of each
    runs = [rest for word, rest in instructions if word == "RUN"]
    base = values["FROM"].split()[0]
    if ":" not in base or base.endswith(":latest"):
        yield "DL3006/DL3007: pin the base image"
    if any(not rest.startswith("[") for word, rest in instructions if word in ("CMD", "ENTRYPOINT")):
        yield "DL3025: CMD and ENTRYPOINT as a JSON list"
    if {"ADD", "MAINTAINER"} & set(words):
        yield "DL3020/DL4000: no ADD, no MAINTAINER"
    if any(words.count(word) > 1 for word in ("CMD", "ENTRYPOINT", "HEALTHCHECK")):
        yield "DL4003/DL4004/DL3012: only the last one counts"
    if not values.get("WORKDIR", "/").startswith("/"):
        yield "DL3000: an absolute WORKDIR"
    for run in runs:
        if "apt-get install" in run:
            if "apt-get update &&" not in " ".join(run.split()):
                yield "DL3009: update and install in one layer"
            if not re.search(r"install\s+-y\s+--no-install-recommends|--no-install-recommends\s+-y", run):
                yield "DL3014/DL3015: -y --no-install-recommends"
            if "rm -rf /var/lib/apt/lists/*" not in run:
                yield "DL3009: remove the lists in the same layer"
        if re.search(r"\bsudo\b|\bapt (install|update)|\bcd /|\|\s*(ba)?sh\b", run):
            yield f"DL3004/DL3027/DL3003/DL4006: {run}"
        if "pip install" in run and "--no-cache-dir" not in run:
            yield "DL3042: pip without its cache"
    if re.search(
        r"(?i)(password|secret|token)=\S", " ".join(rest for word, rest in instructions if word == "ENV")
    ):
        yield "no secret in an image"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_follows_the_rules_that_hadolint_would_ask_for(path: Path) -> None:
    assert list(faults(dockerfile(path))) == []


def test_the_rules_find_what_they_are_for(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(
        "FROM debian\nADD x /\nWORKDIR opt\nRUN apt-get install -y rsync\nRUN curl http://x | sh\n"
        "RUN pip install y\nENV API_TOKEN=abc\nCMD python wsgi.py\n"
    )
    assert len(list(faults(dockerfile(bad)))) == 10


def test_the_service_s_image_ends_as_a_user_who_owns_its_volume() -> None:
    instructions = dockerfile(FILES[0])
    values = dict(instructions)
    (created,) = [rest for word, rest in instructions if word == "RUN" and "useradd" in rest]
    user = values["USER"]
    assert user != "root"
    assert created.endswith(f" {user}"), created
    assert f"--home-dir {values['VOLUME']} --create-home" in created, (
        "a fresh volume takes the folder's owner"
    )
    words = [word for word, _ in instructions]
    assert words.index("USER") > max(n for n, word in enumerate(words) if word in ("RUN", "COPY"))
    assert values["ENTRYPOINT"].startswith('["tini"'), "somebody must reap the rsyncs"
    assert re.search(r"\btini\b", created)


def test_the_image_s_step_with_pip_installs_what_is_installed_here(tmp_path: Path) -> None:
    """The venv is made for real; that pip finds every requirement is asked of this one, which has them already."""
    (run,) = [rest for word, rest in dockerfile(FILES[0]) if word == "RUN" and "venv" in rest]
    venv, _, pip = run.partition(" && ")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    subprocess.run([sys.executable, *venv.split()[1:]], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / ".venv/bin/pip").exists()
    program, *arguments = pip.split()
    assert program == ".venv/bin/pip"
    here = [sys.executable, "-m", "pip", *arguments, "--dry-run", "--no-index", "--quiet"]
    done = subprocess.run(here, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout, done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_into_an_image_is_there(path: Path) -> None:
    instructions = dockerfile(path)
    assert instructions[0][0] == "FROM"
    assert {word for word, _ in instructions} <= set(
        "FROM RUN WORKDIR COPY ENV USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split()  # noqa: SIM905
    )
    for _, rest in (each for each in instructions if each[0] == "COPY"):
        assert (ROOT / rest.split()[0]).exists(), rest


def test_the_image_s_steps_end_in_a_service_that_answers(lockstep: Lockstep, tmp_path: Path) -> None:
    """COPY, ENV and CMD done by hand: only what .dockerignore leaves, another data_dir, another publish directory."""
    image = tmp_path / "opt"
    ignored = [line.replace("**/", "") for line in (ROOT / ".dockerignore").read_text().split()]
    shutil.copytree(ROOT, image, ignore=shutil.ignore_patterns(*ignored), symlinks=True)
    assert not (image / "tests").exists()
    variables = dict(dockerfile(FILES[0]))["ENV"]
    for name in re.findall(r"(LOCKSTEP_\w+)=", variables):
        assert name in ("LOCKSTEP_CONFIG", "LOCKSTEP__DATA_DIR", "LOCKSTEP__PUBLISH__ROOT")
    environ = {
        **lockstep.environment(),
        "LOCKSTEP__DATA_DIR": str(tmp_path / "data"),
        "LOCKSTEP__PUBLISH__ROOT": str(lockstep.publish),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "wsgi.py"], cwd=image, env=environ, stdout=log, stderr=log
        )
    check = dockerfile(FILES[0])[[word for word, _ in dockerfile(FILES[0])].index("HEALTHCHECK")][1]
    script = re.search(r'"-c", "(.*)"\]', check)[1].replace("7777", str(lockstep.port))  # type: ignore[index]
    try:
        lockstep.until(
            lambda: (
                subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode
                == 0
            ),
            "the health check is well",
        )
    finally:
        process.terminate()
        assert process.wait(20) == 0, (tmp_path / "log").read_text()


def test_the_compose_file_s_configurations_are_valid(tmp_path: Path) -> None:
    folder = ROOT / "deploy" / "compose"
    compose = YAML(typ="safe", pure=True).load((ROOT / "deploy" / "compose.yml").read_text())
    config = load(folder / "config.yml", "prod", environ={})
    hosts = {
        name: service["networks"]["try"]["ipv4_address"] for name, service in compose["services"].items()
    }
    assert {node.name: node.host for node in config.nodes} == {
        n: h for n, h in hosts.items() if n.startswith("node-")
    }
    assert config.dns.providers["bind"].server == hosts["bind"]  # type: ignore[union-attr]
    assert config.alerts.channels["ops"].host == hosts["mail"]  # type: ignore[union-attr]
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / "deploy" / source).exists(), volume
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).exists()


@pytest.mark.skipif(shutil.which("named-checkconf", path="/usr/bin:/usr/sbin") is None, reason="no BIND here")
def test_bind_takes_the_compose_file_s_configuration(tmp_path: Path) -> None:
    for name in ("named.conf", "try.key", "try.test.zone"):
        text = (ROOT / "deploy" / "compose" / name).read_text()
        text = text.replace("/etc/bind", str(tmp_path)).replace("/var/cache/bind", str(tmp_path))
        (tmp_path / name).write_text(text)
    program = shutil.which("named-checkconf", path="/usr/bin:/usr/sbin") or ""
    done = subprocess.run(
        [program, "-z", str(tmp_path / "named.conf")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
