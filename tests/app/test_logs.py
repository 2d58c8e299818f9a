"""Log lines: where they go, what they look like, and that no secret is in them."""

import io
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import log_levels, log_lines, logs
from app.config.schema.service import LogConfig
from app.redaction import HIDDEN, Redactor

SECRET = 'p4ss/w\u00f6rd "x"&'


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Puts back the process's handlers and levels."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in (*log_levels.CALM, "sync", "sync.x", "app.x")}
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.handlers.extend(handlers)
    logging.captureWarnings(False)
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def configured(tmp_path: Path, secrets: tuple[str, ...] = (), **keys: object) -> io.StringIO:
    stream = io.StringIO()
    for handler in [h for h in logging.getLogger().handlers if type(h).__module__.startswith("_pytest")]:
        logging.getLogger().removeHandler(handler)  # it would format every record before ours do
    logs.configure(LogConfig.model_validate(keys), tmp_path, secrets, stream)
    return stream


def ours() -> list[logging.Handler]:
    kinds = (logs.Output, logs.FileOutput, log_lines.Recent)
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, kinds)]


# --- text and JSON -------------------------------------------------------------------------------------------


def test_a_line_has_time_level_part_and_message(tmp_path: Path) -> None:
    stream = configured(tmp_path)
    logging.getLogger("sync.x").info("sent %d files to %s", 3, "a")
    time, rest = stream.getvalue().split(" ", 1)
    assert rest == "INFO sync.x: sent 3 files to a\n"
    assert len(time) == len("2026-01-31T12:00:00.123Z")
    assert time.endswith("Z")


def test_a_message_is_one_line_whatever_a_name_in_it_holds(tmp_path: Path) -> None:
    stream = configured(tmp_path)
    logging.getLogger("sync.x").info("sent %s", "a\n2026 ERROR x: forged\x1b[31m\udcff\u4e2d")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("sent a\\n2026 ERROR x: forged\\x1b[31m\\udcff\u4e2d\n")


def test_json_lines_hold_the_same_facts(tmp_path: Path) -> None:
    stream = configured(tmp_path, format="json")
    try:
        raise ValueError("no\nway")
    except ValueError:
        logging.getLogger("app.x").exception("failed on %s", "a\nb\udcff")
    (line,) = stream.getvalue().splitlines()
    facts = json.loads(line)
    assert (facts["level"], facts["part"], facts["message"]) == ("error", "app.x", "failed on a\nb\udcff")
    assert facts["exception"].endswith("ValueError: no\nway")


def test_an_exception_follows_its_line(tmp_path: Path) -> None:
    stream = configured(tmp_path)
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("app.x").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR app.x: failed")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "KeyError: 'k'"


# --- where to, and reloads -----------------------------------------------------------------------------------


def test_configuring_again_replaces_and_never_doubles(tmp_path: Path) -> None:
    first = configured(tmp_path)
    second = configured(tmp_path)
    logging.getLogger("app.x").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
    assert len(ours()) == 2


def test_lines_go_to_a_private_file_that_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    configured(tmp_path, path=path, rotate_bytes=2000, keep=2)
    for number in range(200):
        logging.getLogger("app.x").info("line %d", number)
    assert sorted(found.name for found in path.parent.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert all(found.stat().st_size <= 2000 for found in path.parent.iterdir())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "line 199" in path.read_text()


def test_a_folder_gets_a_file_and_a_relative_path_starts_from_the_data_directory(tmp_path: Path) -> None:
    configured(tmp_path, path=tmp_path)
    assert (tmp_path / "lockstep.log").exists()
    logs.configure(LogConfig.model_construct(path=Path("deep/x.log"), level="info", levels={}), tmp_path)
    assert (tmp_path / "deep" / "x.log").exists()


def test_a_file_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    stream = configured(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        configured(tmp_path, path=tmp_path / "file" / "x.log")
    logging.getLogger("app.x").info("still here")
    assert "still here" in stream.getvalue()


# --- levels --------------------------------------------------------------------------------------------------


def test_levels_hold_by_part_and_go_with_the_configuration_that_set_them(tmp_path: Path) -> None:
    stream = configured(tmp_path, level="warning", levels={"sync": "debug"})
    logging.getLogger("sync.x").debug("heard")
    logging.getLogger("app.x").info("not heard")
    assert "heard" in stream.getvalue()
    assert "not heard" not in stream.getvalue()
    stream = configured(tmp_path, level="warning")
    logging.getLogger("sync.x").info("not heard")
    assert stream.getvalue() == ""


def test_libraries_that_say_too_much_are_calm_unless_asked(tmp_path: Path) -> None:
    stream = configured(tmp_path, level="debug")
    for name in ("apscheduler.scheduler", "watchdog.observers", "httpx", "httpcore.connection", "urllib3"):
        logging.getLogger(name).info("chatter")
    assert stream.getvalue() == ""
    stream = configured(tmp_path, level="info", levels={"watchdog": "info"})
    logging.getLogger("watchdog.observers").info("asked for")
    assert "asked for" in stream.getvalue()


def test_a_level_can_be_changed_while_running_until_the_next_reload(tmp_path: Path) -> None:
    stream = configured(tmp_path)
    log_levels.change("debug", "sync")
    logging.getLogger("sync.x").debug("heard")
    assert "heard" in stream.getvalue()
    stream = configured(tmp_path)
    logging.getLogger("sync.x").debug("not heard")
    assert stream.getvalue() == ""


def test_a_changed_level_is_told_beside_the_configurations_until_it_is_put_back(tmp_path: Path) -> None:
    stream = configured(tmp_path, level="warning", levels={"sync": "error"})
    logging.getLogger("sync.x")
    log_levels.change("debug", "sync.x")
    standing = {s.part: s for s in log_levels.standings()}
    assert (standing["sync.x"].level, standing["sync.x"].configured, standing["sync.x"].changed) == (
        "debug",
        "error",
        True,
    )
    assert (standing["sync"].level, standing["sync"].changed) == ("error", False)
    assert (standing[""].level, standing["app"].level) == ("warning", "warning")
    logging.getLogger("sync.x").debug("heard")
    assert log_levels.change(None, "sync.x").level == "error"
    logging.getLogger("sync.x").warning("silent")
    assert stream.getvalue().count("heard") == 1
    assert "silent" not in stream.getvalue()


def test_everything_is_put_back_at_once(tmp_path: Path) -> None:
    configured(tmp_path, level="warning")
    logging.getLogger("sync.x")
    log_levels.change("debug")
    log_levels.change("error", "sync.x")
    assert any(s.changed for s in log_levels.standings())
    assert log_levels.change(None).level == "warning"
    assert not any(s.changed for s in log_levels.standings())
    assert logging.getLogger("sync.x").level == logging.NOTSET


def test_no_level_is_changed_of_a_library_or_to_what_there_is_not(tmp_path: Path) -> None:
    configured(tmp_path)
    logging.getLogger("botocore.auth")
    for part in ("botocore", "botocore.auth", "sync.nowhere.at.all", "root"):
        with pytest.raises(ValueError, match=r"log\.levels"):
            log_levels.change("debug", part)
    with pytest.raises(ValueError, match="there is no level 'loud'"):
        log_levels.change("loud")
    assert logging.getLogger("botocore").level > logging.CRITICAL


def test_apprise_keeps_its_addresses_to_itself_even_at_debug(tmp_path: Path) -> None:
    stream = configured(tmp_path, level="debug")
    logging.getLogger("apprise").debug(
        "DingTalk POST URL: https://oapi.dingtalk.com/robot/send?access_token=t0k"
    )
    assert "t0k" not in stream.getvalue()


def test_the_aliyun_sdk_never_prints_what_it_signs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream = configured(tmp_path, level="debug", levels={"aliyunsdkcore": "debug"})
    import aliyunsdkcore.http.http_response  # noqa: F401 - the import itself adds a handler to stderr

    logging.getLogger("aliyunsdkcore.http.http_response").debug("> AccessKeyId: k3y Signature: s1gn")
    assert "k3y" not in stream.getvalue() + "".join(capfd.readouterr())


# --- secrets -------------------------------------------------------------------------------------------------


def test_a_secret_is_hidden_in_message_arguments_exception_and_stack(tmp_path: Path) -> None:
    for form in ("text", "json"):
        stream = configured(tmp_path, (SECRET, "hunter2"), format=form)
        log = logging.getLogger("app.x")
        log.info("message hunter2 and %s and %r", SECRET, SECRET)
        log.info("dict %(password)s", {"password": SECRET})
        log.info(ValueError("hunter2"))
        log.info("%s", b"hunter2", stack_info=True)
        try:
            raise ValueError("hunter2") from RuntimeError(SECRET)
        except ValueError:
            log.exception("failed")
        log.warning("does not fit %d", "hunter2")
        written = stream.getvalue()
        assert "hunter2" not in written
        assert "p4ss" not in written
        assert HIDDEN in written
        assert "does not fit" in written
        recent = log_lines.recent()
        assert recent is not None
        assert "hunter2" not in repr(recent.lines())


def test_a_secret_is_hidden_in_the_spellings_of_urls_and_json(tmp_path: Path) -> None:
    from urllib.parse import quote, urlencode

    redactor = Redactor([SECRET])
    for spelling in (
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        urlencode({"p": SECRET}),
        json.dumps(SECRET),
        repr(SECRET),
    ):
        assert "4ss" not in redactor.hide(f"x {spelling} y")


def test_a_very_short_secret_is_hidden_only_where_it_stands_alone() -> None:
    assert Redactor(["ab"]).hide("ab cab ab=ab") == f"{HIDDEN} cab {HIDDEN}={HIDDEN}"


def test_without_secrets_nothing_is_changed_and_none_is_shown_by_repr() -> None:
    assert Redactor().hide("anything") == "anything"
    assert Redactor([""]).hide("anything") == "anything"
    assert "hunter2" not in repr(Redactor(["hunter2"]))


@given(st.lists(st.text("ab.*", min_size=4, max_size=6), max_size=3), st.text("ab.* ", max_size=30))
def test_no_secret_of_four_characters_or_more_is_left(secrets: list[str], text: str) -> None:
    left = Redactor(secrets).hide(text)
    assert not any(secret in left for secret in secrets)


def test_a_records_arguments_never_stop_the_caller(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("hunter2")

    stream = configured(tmp_path, ("hunter2",))
    logging.getLogger("app.x").info("value %s", Broken())
    assert "'value %s' (its arguments do not fit)" in stream.getvalue()
    assert "hunter2" not in "".join(capfd.readouterr())


# --- the last lines ------------------------------------------------------------------------------------------


def test_the_last_lines_are_kept_newest_first_by_part_and_level(tmp_path: Path) -> None:
    configured(tmp_path, level="debug")
    logging.getLogger("sync.x").info("one")
    logging.getLogger("syncx").info("two")
    logging.getLogger("app.x").error("three")
    configured(tmp_path, level="debug")
    recent = log_lines.recent()
    assert recent is not None
    assert [line.message for line in recent.lines()][:3] == ["three", "two", "one"]
    assert [line.message for line in recent.lines(part="sync")][:1] == ["one"]
    assert [line.message for line in recent.lines(level="error")][:1] == ["three"]
    assert len(recent.lines(limit=2)) == 2


def test_only_so_many_lines_are_kept() -> None:
    recent = log_lines.Recent(lines=3)
    for number in range(5):
        recent.handle(
            logging.makeLogRecord({"msg": f"{number}", "name": "x", "levelno": 25, "levelname": "NOTICE"})
        )
    assert [line.message for line in recent.lines()] == ["4", "3", "2"]


def test_a_line_for_the_log_alone_is_kept_in_other_words(tmp_path: Path) -> None:
    stream = configured(tmp_path)
    logging.getLogger("app.x").warning("the token is %s", "t0k3n", extra={"elsewhere": "there is a token"})
    assert "t0k3n" in stream.getvalue()
    recent = log_lines.recent()
    assert recent is not None
    assert recent.lines(limit=1)[0].message == "there is a token"


def test_older_lines_come_page_by_page(tmp_path: Path) -> None:
    configured(tmp_path)
    for number in range(5):
        logging.getLogger("app.x").info("line %d", number)
    recent = log_lines.recent()
    assert recent is not None
    first = recent.lines(part="app.x", limit=2)
    second = recent.lines(part="app.x", limit=2, before=first[-1].id)
    assert [line.message for line in (*first, *second)] == ["line 4", "line 3", "line 2", "line 1"]
    assert {"app", "app.x"} <= set(recent.parts())


def test_no_line_passes_unhidden_while_a_reload_changes_what_is_hidden(tmp_path: Path) -> None:
    configured(tmp_path, ("hunter2",))
    kept = log_lines.recent()
    assert kept is not None
    seen: list[int] = []
    kept.addFilter(lambda record: seen.append(1) or True)
    remove = kept.removeFilter

    def meanwhile(filter_: object) -> None:  # what another thread says while the old filter goes
        remove(filter_)  # type: ignore[arg-type]
        logging.getLogger("app.x").info("the password is hunter2")

    kept.removeFilter = meanwhile  # type: ignore[method-assign]
    try:
        configured(tmp_path, ("hunter2",))
    finally:
        del kept.removeFilter
    assert "hunter2" not in repr(kept.lines())
    assert HIDDEN in kept.lines()[0].message
