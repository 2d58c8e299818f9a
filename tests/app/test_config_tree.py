"""Documents: places, laying one over another, reading YAML."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.config.tree import Item, Place, Plain, merge, place_of, put, walk
from app.config.yaml_text import read, scalar, shield, unshield

HERE, OVER = Place("config.yml", 1, 1), Place("config.dev.yml", 1, 1)

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
keys = st.sampled_from(["a", "b", "c", "d"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
maps = st.dictionaries(keys, values, max_size=4)


def item(value: object, place: Place = HERE) -> Item:
    if isinstance(value, dict):
        return Item({key: item(below, place) for key, below in value.items()}, place)
    if isinstance(value, list):
        return Item([item(below, place) for below in value], place)
    return Item(value, place)  # type: ignore[arg-type]


def laid(below: Plain, above: Plain) -> Plain:
    """What merging means, in five lines."""
    if isinstance(below, dict) and above is None:
        return below
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {
        **below,
        **{key: laid(below[key], value) if key in below else value for key, value in above.items()},
    }


@given(maps, maps)
def test_maps_merge_and_everything_else_is_replaced(below: Plain, above: Plain) -> None:
    assert merge(item(below), item(above)).plain() == laid(below, above)


@given(maps, maps, maps)
def test_the_order_of_laying_layers_together_does_not_matter(one: Plain, two: Plain, three: Plain) -> None:
    a, b, c = item(one), item(two), item(three)
    empty = any(value.content is None for layer in (b, c) for _, value in walk(layer))
    # A plain value between two maps ends the lower one, whichever are laid together first only where none does so.
    maps_above = {loc for loc, value in walk(c) if isinstance(value.content, dict)}
    between = any(loc in maps_above and not isinstance(value.content, dict) for loc, value in walk(b))
    if not empty and not between:
        assert merge(merge(a, b), c).plain() == merge(a, merge(b, c)).plain()


@given(maps)
def test_nothing_laid_over_changes_nothing(value: Plain) -> None:
    assert merge(item(value), item({})).plain() == value
    assert merge(item(value), item(value)).plain() == value


@given(maps, maps)
def test_every_value_keeps_the_place_it_came_from(below: Plain, above: Plain) -> None:
    merged, upper = merge(item(below), item(above, OVER)), item(above, OVER)
    for loc, found in walk(merged):
        if isinstance(found.content, dict):
            continue
        from_above = upper.find(loc)
        expected = OVER if from_above is not None and from_above.content == found.content else HERE
        assert found.place in {expected, OVER} if expected is OVER else found.place == expected


@pytest.mark.parametrize(("below", "above"), [("password", "password_file"), ("password_file", "password")])
def test_a_secret_given_another_way_replaces_the_one_below(below: str, above: str) -> None:
    assert merge(item({below: "x", "port": 1}), item({above: "y"})).plain() == {above: "y", "port": 1}


@given(maps, st.lists(keys, min_size=1, max_size=3), scalars.filter(lambda value: value is not None))
def test_a_value_that_is_put_is_there_and_the_rest_is_as_it_was(
    value: Plain, loc: list[str], new: object
) -> None:
    before = item(value)
    try:
        after = put(before, tuple(loc), item(new, OVER))
    except IndexError:
        return
    assert (found := after.find(tuple(loc))) is not None
    assert found.content == new
    for key in ("a", "b", "c", "d"):
        if key != loc[0]:
            assert after.child(key) == before.child(key)


@given(maps)
def test_what_yaml_writes_is_read_back_with_a_place_for_each_value(value: Plain) -> None:
    stream = io.StringIO()
    YAML().dump(value, stream)
    document, problems = read(stream.getvalue(), "config.yml")
    assert document is not None
    assert not problems
    assert document.plain() == value
    assert all(found.place.line > 0 and found.place.column > 0 for _, found in walk(document))


def test_places_count_from_one_and_point_at_keys_and_values() -> None:
    document, _ = read("a: 1\nsync:\n  port: 873\nnodes: [{name: x}]\n", "f.yml")
    assert document is not None
    assert place_of(document, ("sync", "port")) == Place("f.yml", 3, 9)
    assert place_of(document, ("sync", "port"), of_key=True) == Place("f.yml", 3, 3)
    assert place_of(document, ("nodes", 0, "name")) == Place("f.yml", 4, 16)
    assert place_of(document, ("sync", "missing")) == Place("f.yml", 2, 1)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\nb:\n\tc: 2\n", (3, 1), "tab"),
        ("a: 1\nb: 2\na: 3\n", (3, 1), "twice (first in line 1)"),
        ("a: {x: 1, x: 2}\n", (1, 11), "twice"),
        ("a: [1, 2\nb: 3\n", (2, 2), "not YAML"),
        ("a: 'x\n", (2, 1), "not YAML"),
        ("a: \x07\n", (1, 4), "character"),
        ("- a\n- b\n", (1, 1), "map of sections"),
        ("a: *b\n", (1, 4), "not YAML"),
        ("a: &x\n  b: *x\n", (1, 4), "alias"),
        ("? [a]\n: b\n", (1, 3), "single word"),
    ],
)
def test_what_cannot_be_read_is_named_with_line_and_column(
    text: str, place: tuple[int, int], said: str
) -> None:
    _, problems = read(text, "f.yml")
    assert [(p.line, p.column) for p in problems] == [place]
    assert said in problems[0].message


def test_an_empty_document_is_an_empty_map() -> None:
    for text in ("", "# only a comment\n", "---\n", "~\n"):
        document, problems = read(text, "f.yml")
        assert document is not None
        assert (document.plain(), problems) == ({}, [])


def test_aliases_and_merge_keys_are_understood() -> None:
    document, _ = read("x: &x {p: 1, q: 2}\ny: {<<: *x, q: 3}\nz: *x\n", "f.yml")
    assert document is not None
    assert document.plain() == {"x": {"p": 1, "q": 2}, "y": {"p": 1, "q": 3}, "z": {"p": 1, "q": 2}}


def test_words_of_older_yaml_are_text_and_dates_too() -> None:
    document, _ = read("on: off\nyes: no\nday: 2026-01-31\noct: 0o17\nsixty: 1:30\n", "f.yml")
    assert document is not None
    assert document.plain() == {"on": "off", "yes": "no", "day": "2026-01-31", "oct": 15, "sixty": "1:30"}


def test_a_reference_may_stand_unquoted_inside_braces() -> None:
    document, problems = read("a: {id: ${X}, n: [${Y}, 2]}\n", "f.yml")
    assert document is not None
    assert not problems
    assert document.plain() == {"a": {"id": "${X}", "n": ["${Y}", 2]}}


@pytest.mark.parametrize("text", ["{a: '${'}", '{a: "${", b: 1}', "{a: '$${X}'}", "[${X}, '}']"])
def test_a_brace_in_quotes_is_no_reference(text: str) -> None:
    document, problems = read(f"x: {text}\n", "f.yml")
    assert document is not None
    assert not problems


@given(st.text("${}XY\nab "))
def test_shielding_keeps_length_and_is_undone(text: str) -> None:
    assert len(shield(text)) == len(text)
    assert unshield(shield(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("null", None), ("true", True), ("12", 12), ("1.5", 1.5), ("a: b", "a: b"), ("yes", "yes")],
)
def test_a_plain_scalar_means_what_it_means_in_the_file(text: str, value: object) -> None:
    assert scalar(text) == value
