"""What a batch lists: nothing is deleted that no row says is gone, every dirty path is covered, pages come last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.core.batch import FRESH_ABOVE, Listed, plan, resolve
from sync.core.journal import ancestors, is_below
from sync.core.model import GONE, Kind, Stat

names = st.sampled_from([b"a", b"b", b"c"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
kinds = st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.OTHER])


def stat(kind: Kind, size: int = 1) -> Stat:
    return Stat(kind, size, 1, 1, 1, 1, 0o644, 1)


@st.composite
def trees(draw: st.DrawFn) -> dict[bytes, Stat]:
    """A tree that can be: below a path there is something only if it is a directory."""
    wanted = draw(st.dictionaries(paths, kinds, max_size=12))
    tree: dict[bytes, Stat] = {}
    for path in sorted(wanted):
        if all(tree.get(a, stat(Kind.DIRECTORY)).kind is Kind.DIRECTORY for a in ancestors(path)):
            for above in ancestors(path):
                tree[above] = stat(Kind.DIRECTORY)
            tree[path] = stat(wanted[path], draw(st.integers(0, 20)))
    return tree


rows = st.dictionaries(paths, st.booleans(), max_size=12)


def carries_all(path: bytes, is_dir: bool) -> bool:
    return True


def look_in(tree: dict[bytes, Stat]):
    return lambda path: tree.get(path, GONE)


@given(rows, trees())
def test_nothing_is_deleted_that_its_row_does_not_say_is_gone(
    dirty: dict[bytes, bool], tree: dict[bytes, Stat]
) -> None:
    listed = resolve(dirty, look_in(tree), carries_all)
    for path in listed.gone:
        assert dirty.get(path) is True
        assert path not in tree
    assert not listed.left


@given(rows, st.just({}))
def test_of_a_source_that_is_away_only_what_is_gone_by_its_row_is_listed(
    dirty: dict[bytes, bool], tree: dict[bytes, Stat]
) -> None:
    listed = resolve(dirty, look_in(tree), carries_all)
    assert not listed.there
    assert set(listed.vanished) == {p for p, gone in dirty.items() if not gone}


@given(rows, trees())
def test_every_dirty_path_is_covered(dirty: dict[bytes, bool], tree: dict[bytes, Stat]) -> None:
    listed = resolve(dirty, look_in(tree), carries_all)
    for path, row_gone in dirty.items():
        if path in tree:
            assert path in listed.there
            continue
        replaced = any(is_below(path, p) for p, s in listed.there.items() if s.kind is not Kind.DIRECTORY)
        deleted = any(is_below(path, p) for p in listed.gone)
        assert replaced or (deleted if row_gone else path in listed.vanished)


@given(rows, trees())
def test_what_is_listed_as_there_stands_there_below_real_directories(
    dirty: dict[bytes, bool], tree: dict[bytes, Stat]
) -> None:
    listed = resolve(dirty, look_in(tree), carries_all)
    for path, seen in listed.there.items():
        assert tree[path] == seen
        assert all(tree[a].kind is Kind.DIRECTORY for a in ancestors(path))
        assert path in dirty or any(is_below(d, path) for d in dirty)


@given(rows, trees())
def test_what_left_the_scope_goes_only_where_its_row_says_so(
    dirty: dict[bytes, bool], tree: dict[bytes, Stat]
) -> None:
    listed = resolve(dirty, look_in(tree), lambda path, is_dir: not path.startswith(b"a"))
    outside = {p for p in dirty if p.startswith(b"a")}
    assert all(dirty[p] for p in listed.left)
    assert all(any(is_below(p, left) for left in listed.left) for p in outside if dirty[p])
    assert not any(p.startswith(b"a") for p in (*listed.there, *listed.gone, *listed.vanished))


@given(rows, trees(), st.booleans(), st.integers(0, 20), st.integers(0, 8))
def test_a_plan_carries_what_is_listed_each_once_and_deletes_only_where_it_may(
    dirty: dict[bytes, bool], tree: dict[bytes, Stat], delete: bool, large: int, trees_above: int
) -> None:
    listed = resolve(dirty, look_in(tree), carries_all)

    def count_below(path: bytes, limit: int) -> int:
        return min(limit, sum(is_below(p, path) and p != path for p in tree))

    steps = plan(listed, large_bytes=large, delete=delete, count_below=count_below, trees_above=trees_above)
    carried = [*steps.files, *steps.large]
    assert len(carried) == len(set(carried))
    for path in listed.there:
        assert (path in carried) != any(is_below(path, t) for t in steps.trees)
    assert all(listed.there[p].size > large for p in steps.large)
    assert (steps.gone, steps.left) == ((listed.gone, listed.left) if delete else ((), ()))
    assert all(listed.there[t].kind is Kind.DIRECTORY for t in steps.trees)


def test_an_unreadable_directory_is_no_tree() -> None:
    there = {b"d": stat(Kind.DIRECTORY), b"d/x": stat(Kind.FILE)}
    steps = plan(
        Listed(there), large_bytes=100, delete=True, count_below=lambda path, limit: -1, trees_above=1
    )
    assert steps.trees == ()
    assert set(steps.files) == there.keys()


def test_a_child_of_what_became_a_symlink_is_not_listed_itself() -> None:
    tree = {b"a": stat(Kind.SYMLINK)}
    listed = resolve({b"a/b/c": False, b"a/gone": True}, look_in(tree), carries_all)
    assert list(listed.there) == [b"a"]
    assert not listed.gone


def new_tree(files: int) -> Listed:
    inside = {b"new/%d" % n: stat(Kind.FILE) for n in range(files)}
    return Listed({b"new": stat(Kind.DIRECTORY), **inside, b"index.html": stat(Kind.FILE)})


def planned(listed: Listed, fresh: set[bytes], below: int = 10**6, large_bytes: int = 100):
    return plan(
        listed,
        large_bytes=large_bytes,
        delete=True,
        count_below=lambda path, limit: min(below, limit),
        fresh=fresh,
    )


def test_a_tree_that_is_new_to_the_node_goes_first_and_what_links_to_it_after_it() -> None:
    steps = planned(new_tree(FRESH_ABOVE), {b"new"}, below=FRESH_ABOVE)
    assert (steps.fresh, steps.files, steps.trees) == ((b"new",), (b"index.html",), ())


def test_little_is_listed_though_it_is_new_and_much_that_is_not_new_is_held_back() -> None:
    few = planned(new_tree(FRESH_ABOVE - 2), {b"new"}, below=FRESH_ABOVE - 2)
    assert (few.fresh, len(few.files)) == ((), FRESH_ABOVE)
    known = planned(new_tree(FRESH_ABOVE), set(), below=FRESH_ABOVE)
    assert (known.fresh, len(known.files)) == ((), FRESH_ABOVE + 2)


def test_a_new_directory_of_which_the_batch_holds_little_is_no_tree() -> None:
    steps = planned(new_tree(FRESH_ABOVE), {b"new"}, below=10**6)
    assert (steps.fresh, len(steps.files)) == ((), FRESH_ABOVE + 2)


def test_what_became_a_file_meanwhile_is_no_tree() -> None:
    listed = new_tree(FRESH_ABOVE)
    listed = Listed({**listed.there, b"new": stat(Kind.FILE)})
    assert planned(listed, {b"new"}, below=FRESH_ABOVE).fresh == ()


def test_a_large_file_travels_alone_out_of_a_new_tree_too() -> None:
    listed = new_tree(FRESH_ABOVE)
    listed = Listed({**listed.there, b"new/big": stat(Kind.FILE, 101)})
    steps = planned(listed, {b"new"}, below=FRESH_ABOVE)
    assert (steps.fresh, steps.large) == ((), (b"new/big",))
