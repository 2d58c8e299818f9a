"""Writing config.yml: one value changes, everything else stays, and nothing invalid is ever written."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import ConfigError, load
from app.config.flow import inline
from app.config.splice import with_entry, with_value, without
from app.config.tree import Item, Loc, Plain, walk
from app.config.writer import EditError, Editor
from app.config.yaml_text import read

TEXT = """\
# what this is
name: Lockstep      # the name

sync: {port: 873, user: null}   # how

nodes:
  # the first
  - name: a         # in Shanghai
    host: 192.0.2.1

  # the second
  - name: b
    host: 192.0.2.2
    lines: [telecom]
  # - name: c

# what follows
dns:
  providers:
    # none yet
  services: []      # neither
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "config.yml"
    found.write_text(TEXT)
    return found


def editor(path: Path, **environ: str) -> Editor:
    return Editor(path, environ=environ)


def changed(diff: str) -> list[str]:
    return [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


# --- what an edit does to the text ---------------------------------------------------------------------------


def test_a_node_is_added_behind_the_last_with_everything_else_as_it_was(path: Path) -> None:
    edit = editor(path)
    edit.add_node(
        {"name": "c", "host": "192.0.2.3", "lines": ["unicom"], "addresses": [{"static": "192.0.2.3"}]}
    )
    assert changed(edit.save()) == [
        "+  - name: c",
        "+    host: 192.0.2.3",
        "+    lines: [unicom]",
        "+    addresses: [{static: 192.0.2.3}]",
    ]
    assert [node.name for node in load(path, environ={}).nodes] == ["a", "b", "c"]


def test_a_node_is_removed_and_the_comments_around_it_stay(path: Path) -> None:
    edit = editor(path)
    edit.remove_node("a")
    assert changed(edit.save()) == ["-  - name: a         # in Shanghai", "-    host: 192.0.2.1"]


def test_removing_the_last_node_leaves_the_comments_of_the_next_section(path: Path) -> None:
    edit = editor(path)
    edit.remove_node("b")
    edit.remove_node("a")
    edit.save()
    assert "# what follows\ndns:" in path.read_text()
    assert load(path, environ={}).nodes == ()


@pytest.mark.parametrize(
    ("loc", "value", "lines"),
    [
        (("name",), "Other", ["-name: Lockstep      # the name", "+name: Other      # the name"]),
        (
            ("sync", "port"),
            8730,
            ["-sync: {port: 873, user: null}   # how", "+sync: {port: 8730, user: null}   # how"],
        ),
        (
            ("sync", "module"),
            "m",
            ["-sync: {port: 873, user: null}   # how", "+sync: {port: 873, user: null, module: m}   # how"],
        ),
        (("nodes", "b", "drained"), True, ["+    drained: true"]),
        (("nodes", "b", "lines"), [], ["-    lines: [telecom]", "+    lines: []"]),
        (("nodes", "a", "ssh", "port"), 22, ["+    ssh: {port: 22}"]),
        (("nodes", 0, "host"), "::1", ["-    host: 192.0.2.1", "+    host: ::1"]),
        (("web", "port"), 1, ["+", "+web:", "+  port: 1"]),
        (("dns", "hold_down_seconds"), "5s", ["+  hold_down_seconds: 5s"]),
        (("dns", "providers", "z"), {"kind": "zonefile", "path": "z"}, ["+    z: {kind: zonefile, path: z}"]),
        (("retention_days",), 3, ["+", "+retention_days: 3"]),
    ],
)
def test_setting_a_value_changes_its_line_only(path: Path, loc: Loc, value: object, lines: list[str]) -> None:
    edit = editor(path)
    edit.set_value(loc, value)
    assert changed(edit.save()) == lines


def test_removing_a_value_brings_back_its_default(path: Path) -> None:
    edit = editor(path)
    edit.remove_value(("sync", "port"))
    edit.remove_value(("nodes", "b", "lines"))
    edit.remove_value(("name",))
    edit.save()
    config = load(path, environ={})
    assert (config.sync.port, config.nodes[1].lines, config.name) == (873, (), "Lockstep")
    assert "sync: {user: null}   # how\n" in path.read_text()


def test_services_and_providers_are_added_and_removed(path: Path) -> None:
    edit = editor(path, PW="p")
    edit.add_provider("zone", {"kind": "zonefile", "path": "zones"})
    edit.add_provider("ali", {"kind": "aliyun", "access_key_id": "${PW}", "access_key_secret": "x: #y"})
    edit.add_service(
        {
            "name": "w",
            "provider": "zone",
            "zone": "example.com",
            "record": "@",
            "lines": {"default": {"nodes": "all"}},
        }
    )
    edit.save()
    config = load(path, environ={"PW": "p"})
    assert config.dns.services[0].fqdn == "example.com"
    assert config.dns.providers["ali"].access_key_secret.get_secret_value() == "x: #y"  # type: ignore[union-attr]
    edit = editor(path, PW="p")
    edit.remove_service("w")
    edit.remove_provider("zone")
    edit.remove_provider("ali")
    edit.save()
    assert load(path, environ={}).dns.providers == {}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_stay(path: Path, newline: str) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", newline).encode())
    edit = editor(path)
    edit.add_node({"name": "c", "host": "h"})
    edit.set_value(("name",), "x")
    edit.save()
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf# what")
    assert data.count(b"\n") == TEXT.count("\n") + 2
    assert data.count(b"\r\n") == (data.count(b"\n") if newline == "\r\n" else 0)


def test_a_file_without_a_line_break_at_its_end_is_no_trap(path: Path) -> None:
    path.write_text("nodes:\n- name: a\n  host: h")
    edit = editor(path)
    edit.add_node({"name": "b", "host": "i"})
    edit.save()
    assert path.read_text() == "nodes:\n- name: a\n  host: h\n- name: b\n  host: i\n"


# --- what is refused -----------------------------------------------------------------------------------------


def test_nothing_is_written_when_the_result_would_not_load(path: Path) -> None:
    edit = editor(path)
    edit.add_node({"name": "c", "host": "192.0.2.1"})
    with pytest.raises(ConfigError, match="a and c have one destination"):
        edit.save()
    assert path.read_text() == TEXT
    assert os.listdir(path.parent) == ["config.yml"]


def test_an_edit_of_what_is_not_there_or_there_already_is_refused(path: Path) -> None:
    edit = editor(path)
    with pytest.raises(EditError, match="nodes has a a already"):
        edit.add_node({"name": "a", "host": "h"})
    with pytest.raises(EditError, match="has no zz under nodes"):
        edit.remove_node("zz")
    with pytest.raises(EditError, match=r"there is no sync\.module"):
        edit.remove_value(("sync", "module"))
    with pytest.raises(EditError, match=r"there is no nodes\.zz"):
        edit.set_value(("nodes", "zz", "host"), "h")
    with pytest.raises(EditError, match="is no map"):
        edit.set_value(("name", "x"), 1)
    assert edit.diff() == ""


def test_an_edit_that_another_layer_would_undo_is_refused_naming_it(path: Path) -> None:
    (path.parent / "config.prod.yml").write_text("sync: {port: 5}\nnodes: [{name: a, host: h}]\n")
    for loc in (("sync", "port"), ("nodes", "a", "host")):
        edit = editor(path)
        edit.set_value(loc, 6)
        with pytest.raises(EditError, match=r"config\.prod\.yml goes over"):
            edit.save()
    edit = editor(path)
    edit.remove_node("a")
    with pytest.raises(EditError, match=r"config\.prod\.yml has nodes\.a too"):
        edit.save()
    edit = editor(path, LOCKSTEP__NAME="x")
    edit.set_value(("name",), "y")
    with pytest.raises(EditError, match="LOCKSTEP__NAME goes over name"):
        edit.save()


def test_the_environments_file_can_be_edited_itself(path: Path) -> None:
    overlay = path.parent / "config.prod.yml"
    overlay.write_text("sync: {port: 5}\n")
    edit = Editor(path, environ={}, file=overlay)
    edit.set_value(("sync", "port"), 6)
    edit.save()
    assert overlay.read_text() == "sync: {port: 6}\n"
    assert path.read_text() == TEXT


def test_a_file_that_changed_meanwhile_is_left_alone(path: Path) -> None:
    edit = editor(path)
    edit.set_value(("name",), "x")
    path.write_text(TEXT + "# mine\n")
    with pytest.raises(EditError, match="changed by somebody else"):
        edit.save()
    assert path.read_text() == TEXT + "# mine\n"


def test_mode_and_links_are_kept(path: Path) -> None:
    path.chmod(0o640)
    link = path.parent / "link" / "config.yml"
    link.parent.mkdir()
    link.symlink_to(path)
    edit = editor(link)
    edit.set_value(("name",), "x")
    edit.save()
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "name: x " in path.read_text()


# --- whatever the text ---------------------------------------------------------------------------------------

words = st.sampled_from(["a", "b", "c", "key"])
leaves = (
    st.none() | st.booleans() | st.integers(-9, 99) | st.text("ab: #'\"{}[],-\n&*!|>%@`$~\u00e4", max_size=5)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=5,
)


@given(values)
def test_a_value_on_one_line_reads_back_the_same(value: object) -> None:
    text = inline(value)
    assert "\n" not in text
    document, problems = read(f"x: [{text}]\n", "f")
    assert document is not None
    assert not problems
    assert document.plain() == {"x": [value]}


@given(st.dictionaries(words, values, min_size=1, max_size=3), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_each_edit_changes_what_it_names_and_nothing_else(
    value: dict[str, object], data: st.DataObject
) -> None:
    text = "# top\n" + "".join(f"{key}: {inline(below)}   # {key}\n" for key, below in value.items())
    if data.draw(st.booleans()):
        text = _blocks(value)
    document = _read(text)
    locs = [loc for loc, item in walk(document) if loc]
    loc = data.draw(st.sampled_from(locs))
    new = data.draw(values)
    assert _read(with_value(text, loc, new)).plain() == _set(document.plain(), loc, new)
    try:
        gone = without(text, loc)
    except EditError:
        return
    assert _read(gone).plain() in (
        _removed(document.plain(), loc),
        _removed(document.plain(), loc, emptied=None),
    )


@given(st.lists(values, max_size=3), values, st.booleans())
@settings(deadline=None)
def test_an_added_entry_comes_last(entries: list[object], new: object, blocks: bool) -> None:
    text = _blocks({"list": entries, "z": 1}) if blocks else f"list: {inline(entries)}\nz: 1\n"
    assert _read(with_entry(text, ("list",), new)).plain() == {"list": [*entries, new], "z": 1}


def _read(text: str) -> Item:
    document, problems = read(text, "f")
    assert document is not None, (text, problems)
    assert not problems, text
    return document


def _blocks(value: dict[str, object], indent: int = 0) -> str:
    text = ""
    for key, below in value.items():
        text += f"{' ' * indent}{key}:"
        if isinstance(below, dict) and below:
            text += f"  # {key}\n{_blocks(below, indent + 2)}"
        elif isinstance(below, list) and below:
            text += "\n" + "".join(f"{' ' * (indent + 2)}- {inline(entry)}  # x\n" for entry in below)
        else:
            text += f" {inline(below)}\n"
    return text


def _set(tree: Plain, loc: Loc, value: object) -> Plain:
    if not loc:
        return value  # type: ignore[return-value]
    if isinstance(tree, list):
        return [_set(below, loc[1:], value) if index == loc[0] else below for index, below in enumerate(tree)]
    assert isinstance(tree, dict)
    return {key: _set(below, loc[1:], value) if key == loc[0] else below for key, below in tree.items()}


def _removed(tree: Plain, loc: Loc, emptied: Plain = ()) -> Plain:  # type: ignore[assignment]
    """Without the value; a container that is empty then may read as nothing."""
    if isinstance(tree, list):
        kept: Plain = [
            _removed(below, loc[1:], emptied) if index == loc[0] else below
            for index, below in enumerate(tree)
            if index != loc[0] or len(loc) > 1
        ]
    else:
        assert isinstance(tree, dict)
        kept = {
            key: _removed(below, loc[1:], emptied) if key == loc[0] else below
            for key, below in tree.items()
            if key != loc[0] or len(loc) > 1
        }
    return emptied if not kept and len(loc) == 1 and emptied is None else kept
