"""The arguments of each form: what stands in all, what never does, and which an operator may add."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.core.args import Remote, RsyncOptions, Run, argv, file_list, left_overs
from sync.core.model import Form
from sync.core.scope import Scope

REMOTE = Remote("rsync://node/content/", ("--sockopts=TCP_NODELAY",), {"RSYNC_PASSWORD": "secret"})
FORMS = st.sampled_from(Form)
PATHS = st.lists(
    st.binary(min_size=1).filter(lambda path: b"\0" not in path and path.strip(b"/.")), max_size=4
)


def arguments(
    run: Run, scope: Scope | None = None, *, progress: bool = False, **options: object
) -> list[str]:
    given_options = RsyncOptions(**options)  # type: ignore[arg-type]
    return argv(run, given_options, scope or Scope(), "/srv/publish", REMOTE, progress=progress)


@given(FORMS, PATHS, st.booleans(), st.booleans(), st.booleans())
def test_no_form_holds_what_would_break_a_promise(
    form: Form, paths: list[bytes], large: bool, delete: bool, progress: bool
) -> None:
    run = Run(form, tuple(paths), large=large)
    said = arguments(run, Scope(excludes=("*.tmp",), delete=delete), progress=progress)
    options = said[: said.index("--")]
    assert not {"--inplace", "-u", "--update", "-o", "-g", "-a"} & set(options)
    assert "--ignore-errors" not in options or "-n" in options
    assert not [option for option in options if option.startswith("--temp-dir")]
    assert {"-O", "-lptD", "--modify-window=-1", "--force", "-i", "--timeout=300"} <= set(options)
    assert said[said.index("--") :] == ["--", "/srv/publish/", REMOTE.destination]
    assert ("--files-from=-" in options) is ("--from0" in options) is run.is_listed
    assert ("-n" in options) is (form in (Form.AUDIT, Form.DEEP_AUDIT))
    assert "secret" not in " ".join(said)
    if not delete and form is not Form.GONE:
        assert not [option for option in options if option.startswith("--delete") or option == "--del"]
    elif form in (Form.SUBTREES, Form.EVERYTHING):
        assert "--delete-after" in options


@given(FORMS, st.booleans())
def test_contents_are_compared_where_events_or_a_deep_audit_ask_for_it(form: Form, large: bool) -> None:
    said = arguments(Run(form, (b"page",), large=large))
    by_event = form in (Form.FILES, Form.GONE, Form.SUBTREES)
    assert ("-c" in said) is ((by_event and not large) or form is Form.DEEP_AUDIT)
    assert ("-I" in said) is (by_event and large)


@given(FORMS, st.booleans())
def test_progress_is_asked_for_where_something_is_sent(form: Form, wanted: bool) -> None:
    sends = form in (Form.FILES, Form.SUBTREES, Form.EVERYTHING)
    said = arguments(Run(form, (b"a",)), progress=wanted)
    assert ("--info=progress2" in said) is (sends and wanted)
    assert "--info=progress2" not in arguments(Run(form, (b"a",), purge=True), progress=True)


def test_options_become_arguments() -> None:
    said = arguments(
        Run(Form.EVERYTHING, max_delete=7), timeout_seconds=1.2, compress=True, extra_args=("-og",)
    )
    assert {"--max-delete=7", "--timeout=2", "-z", "-og"} <= set(said)
    assert not [a for a in arguments(Run(Form.EVERYTHING), timeout_seconds=0) if a.startswith("--timeout")]
    assert "--max-delete=0" in arguments(Run(Form.EVERYTHING, max_delete=0))


@given(PATHS)
def test_the_file_list_gives_back_its_paths_and_no_entry_looks_like_a_comment(paths: list[bytes]) -> None:
    listed = file_list(paths)
    entries = listed.split(b"\0")[:-1]
    assert [entry[2:] for entry in entries] == paths
    assert all(entry.startswith(b"./") for entry in entries)


def test_what_a_run_leaves_behind_is_named_once_for_each_folder() -> None:
    clean = left_overs(Run(Form.FILES, (b"top", b"a/x", b"a/y", b"a/b/z")))
    assert clean == Run(Form.GONE, (b".~tmp~", b"a/.~tmp~", b"a/b/.~tmp~"), purge=True)
    assert left_overs(Run(Form.SUBTREES, (b"a",))) == Run(Form.SUBTREES, (b"a",), only_delete=True)
    assert left_overs(Run(Form.GONE, (b"a",))) is None
    assert left_overs(Run(Form.FILES, (b"a",))) is None


def test_only_what_belongs_together_or_can_be_resumed_is_held_back() -> None:
    held = {
        Run(Form.FILES, (b"a",)): False,
        Run(Form.FILES, (b"a",), large=True): True,
        Run(Form.FILES, (b"a", b"b")): True,
        Run(Form.SUBTREES, (b"a",)): True,
        Run(Form.SUBTREES, (b"a",), fresh=True): False,
        Run(Form.EVERYTHING): False,
    }
    assert {run: "--delay-updates" in arguments(run) for run in held} == held


def test_new_trees_are_arguments_whatever_their_names() -> None:
    run = Run(Form.SUBTREES, (b"-n", b"a b/\xff"), fresh=True, delete=False)
    assert not run.is_listed
    words = arguments(run)
    assert "--files-from=-" not in words
    assert "-c" not in words
    assert "-I" in words, "what is there after all is not taken for the same by its size and time"
    assert [w for w in words if "/./" in w] == ["/srv/publish/./-n", "/srv/publish/./a b/\udcff"]
    assert words.index("--") < words.index("/srv/publish/./-n") < len(words) - 1
