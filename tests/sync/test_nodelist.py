"""What a node source may print, what is refused whole, and when its answer is believed (promise 6)."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync.core.nodelist import (
    MISSES,
    Decision,
    Failure,
    Fetch,
    ListedNode,
    NodeListError,
    as_json,
    decide,
    parse,
)


def pairs(output: str | bytes) -> list[tuple[str, str | None]]:
    data = output.encode() if isinstance(output, str) else output
    return [(node.name, node.host) for node in parse(data)]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("203.0.113.10", [("203.0.113.10", "203.0.113.10")]),
        ("b.example.com,a.example.com", [("b.example.com",) * 2, ("a.example.com",) * 2]),
        ("a.example.com,\n\nb.example.com,\r\n", [("a.example.com",) * 2, ("b.example.com",) * 2]),
        ("# ours\n sh = 203.0.113.10 , bj=2001:db8::1\n", [("sh", "203.0.113.10"), ("bj", "2001:db8::1")]),
        ("[2001:db8::1]", [("2001:db8::1",) * 2]),
        ("[::1], 203.0.113.1", [("::1",) * 2, ("203.0.113.1",) * 2]),
        ("web1\nweb_2\n", [("web1",) * 2, ("web_2",) * 2]),
        ("\ufeffa.example.", [("a.example.",) * 2]),
        ('["a", {"name": "b", "host": "203.0.113.1"}]', [("a", "a"), ("b", "203.0.113.1")]),
        ('{"nodes": [{"host": "::1"}]}', [("::1", "::1")]),
        ('[{"name": "b", "addresses": [{"static": "203.0.113.1"}]}]', [("b", None)]),
        (
            '[{"name":"a","host":"h","module":"m1"},{"name":"b","host":"h","module":"m2"}]',
            [("a", "h"), ("b", "h")],
        ),
    ],
)
def test_lists_of_hosts_and_json_are_taken(output: str, expected: list[tuple[str, str | None]]) -> None:
    assert pairs(output) == expected


def test_an_object_is_kept_whole_and_not_shown() -> None:
    (node,) = parse(b'[{"name": "b", "host": "203.0.113.1", "password": "hunter2", "lines": ["telecom"]}]')
    assert node.entry["lines"] == ["telecom"]
    assert "hunter2" not in repr(node)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"", "printed nothing"),
        (b" \n\t\r\n", "printed nothing"),
        (b"# only a remark\n", "an empty list"),
        (b"[]", "an empty list"),
        (b'{"nodes": []}', "an empty list"),
        (b"<html><body>a.example.com</body></html>", "is not a host"),
        (b"<!DOCTYPE html>\n203.0.113.10\n", "line 1 .* is not a host"),
        (b"203.0.113.10\nPHP Warning:  mysqli_connect(): refused in /srv/x.php on line 3\n", "line 2 "),
        (b"Warning: Undefined variable $hosts in ips.php\n203.0.113.10", "line 1 "),
        (b"203.0.113.10\x00", "line 1 .* control characters"),
        (b"\x1b[31m203.0.113.10\x1b[0m", "control characters"),
        (b"a.example\rb.example", "control characters"),
        (b"\xff\xfe1\x000\x00", "not text"),
        (b"a.example,,b.example", "'' is not a host"),
        (b"sh =", "'' is not a host"),
        (b"= 203.0.113.10", "'' is not a node's name"),
        (b"a b", "is not a host"),
        (b"203.0.113.10 203.0.113.11", "is not a host"),
        (b"256.1.1.1", "is not a host"),
        (b"203.0.113", "is not a host"),
        (b"500", "is not a host"),
        (b"null", "is not a host"),
        (b"Error", "is not a host"),
        (b"0.0.0.0", "is not a host"),
        (b"::", "is not a host"),
        (b"224.0.0.1", "is not a host"),
        (b"203.0.113.10:873", "is not a host"),
        (b"-rf", "is not a host"),
        (b"a;reboot", "is not a host"),
        (b"$(reboot)", "is not a host"),
        (b"-x = 203.0.113.10", "is not a node's name"),
        (b"a/b = 203.0.113.10", "is not a node's name"),
        (b"a.example, a.example", "lists a.example twice"),
        (b"a = h1.example, a = h2.example", "lists a twice"),
        (b"a = h.example, b = H.example", "lists the host H.example twice"),
        (b'["a", "a"]', "lists a twice"),
        (b'["a", 5]', "node 2 .* neither a host nor an object"),
        (b'["a", {"name": "b"}]', "node 2 .* neither a host nor a name with addresses"),
        (b'[{"name": 5, "host": "a"}]', "a value of type int is not a node's name"),
        (b'[{"host": ["a"]}]', "a value of type list is not a host"),
        (b'[{"host": "a", "host": "b"}]', "the same key twice"),
        (b'["a"', "broken JSON"),
        (b'{"error": "no database"}', "not a list"),
        (b'{"nodes": "a"}', "not a list"),
        (b"[" * 100_000, "broken JSON"),
    ],
)
def test_what_is_not_wholly_a_list_is_refused_in_a_sentence(output: bytes, words: str) -> None:
    with pytest.raises(NodeListError, match=words) as refusal:
        parse(output)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 250


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@example(b"[NaN]")
@example(b'["\\u0000"]')
@example(b"[" + b"9" * 5000 + b"]")
def test_whatever_is_printed_is_a_list_or_refused(output: bytes) -> None:
    try:
        nodes = parse(output)
    except NodeListError:
        return
    assert nodes
    assert len({node.name for node in nodes}) == len(nodes)
    assert all(node.name.isprintable() and not node.name.startswith("-") for node in nodes)


# ── whether to believe it ────────────────────────────────────────────────────────────────────────────────


def listing(names: Iterable[str]) -> dict[str, ListedNode]:
    return {name: ListedNode(name, name, {"name": name, "host": name}) for name in names}


def fetch(names: Iterable[str]) -> Fetch:
    return Fetch("\n".join(names).encode())


NAMES = [f"n{i}" for i in range(10)]


def test_the_first_list_is_accepted_as_it_comes() -> None:
    d = decide({}, fetch(["a", "b"]), {})
    assert (set(d.nodes), d.added, d.removed, d.refused_reason) == ({"a", "b"}, {"a", "b"}, set(), None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Failure("the node source './ips' ended with status 1", "boom"), "ended with status 1"),
        (Fetch(b""), "printed nothing"),
        (Fetch(b"<html>"), "is not a host"),
        (fetch(NAMES[:4]), "lacks 6 of 10 nodes (n4, n5, n6, n7, n8, …)"),
        (fetch(["elsewhere"]), "lacks 10 of 10 nodes"),
    ],
)
def test_an_answer_that_is_not_believed_changes_nothing_not_even_the_misses(
    answer: Fetch | Failure, words: str
) -> None:
    old, misses = listing(NAMES), {"n9": 2}
    d = decide(old, answer, misses)
    assert words in (d.refused_reason or "")
    assert (d.nodes, d.added, d.removed, d.misses) == (old, set(), set(), misses)


def test_exactly_half_may_go_and_one_more_may_not() -> None:
    assert decide(listing(NAMES), fetch(NAMES[:5]), {}).refused_reason is None
    assert decide(listing(NAMES), fetch(NAMES[:4]), {}).refused_reason is not None


def run(old: dict[str, ListedNode], *answers: Fetch | Failure) -> list[Decision]:
    decisions: list[Decision] = []
    misses: dict[str, int] = {}
    for answer in answers:
        decisions.append(decide(old, answer, misses))
        old, misses = dict(decisions[-1].nodes), dict(decisions[-1].misses)
    return decisions


def test_a_node_goes_after_three_misses_in_a_row() -> None:
    without = fetch(NAMES[:9])
    d = run(listing(NAMES), without, without, without)
    assert ["n9" in one.nodes for one in d] == [True, True, False]
    assert [set(one.removed) for one in d] == [set(), set(), {"n9"}]
    assert d[2].misses == {}


def test_a_node_that_shows_up_again_starts_anew_and_a_failed_answer_counts_neither_way() -> None:
    without, all_there = fetch(NAMES[:9]), fetch(NAMES)
    d = run(
        listing(NAMES), without, without, all_there, without, Failure("x"), without, Failure("x"), without
    )
    assert ["n9" in one.nodes for one in d] == [True] * 7 + [False]


def test_a_person_can_confirm_that_the_missing_are_gone() -> None:
    d = decide(listing(NAMES), fetch(["n0"]), {}, accept=True)
    assert (set(d.nodes), len(d.removed), d.refused_reason) == ({"n0"}, 9, None)
    assert decide(listing(NAMES), Fetch(b""), {}, accept=True).refused_reason is not None


def test_a_name_in_the_configuration_wins() -> None:
    d = decide(listing(["a", "b"]), fetch(["a", "b", "c"]), {"a": 2}, configured={"a", "c"})
    assert (set(d.nodes), d.added, d.removed, d.misses) == ({"b"}, set(), set(), {})
    d = decide(listing(["a"]), fetch(["a"]), {}, configured={"a"})
    assert (d.nodes, d.refused_reason) == ({}, None)


def test_a_host_that_changed_is_taken_over() -> None:
    d = decide({"a": ListedNode("a", "h1", {"name": "a", "host": "h1"})}, Fetch(b"a = h2"), {})
    assert d.nodes["a"].host == "h2"
    assert not d.added
    assert not d.removed


def test_the_list_survives_a_restart() -> None:
    nodes = parse(b'["a", {"name": "b", "host": "h", "password": "p"}, {"name": "c", "addresses": [1]}]')
    assert parse(as_json(nodes).encode()) == nodes
    assert json.loads(as_json(nodes))


@settings(deadline=None)
@given(
    st.lists(st.none() | st.sets(st.sampled_from(NAMES), min_size=1), max_size=30),
    st.sets(st.sampled_from(NAMES), min_size=1),
)
def test_whatever_the_source_says_nobody_goes_before_the_third_miss_in_a_row(
    answers: list[set[str] | None], start: set[str]
) -> None:
    nodes, misses, believed = listing(start), {}, []
    for answer in answers:
        d = decide(nodes, Failure("x") if answer is None else fetch(sorted(answer)), misses)
        if d.refused_reason is None:
            assert answer is not None
            believed.append(answer)
            assert 2 * len(nodes.keys() - answer) <= len(nodes)
            assert set(d.nodes) == answer | d.misses.keys()
        else:
            assert d.nodes == nodes
        for gone in nodes.keys() - d.nodes.keys():
            assert gone in d.removed
            assert len(believed) >= MISSES
            assert all(gone not in answer for answer in believed[-MISSES:])
        assert d.added == d.nodes.keys() - nodes.keys()
        assert d.nodes
        nodes, misses = dict(d.nodes), dict(d.misses)
        assert all(0 < count < MISSES for count in misses.values())
        assert misses.keys() <= nodes.keys()
