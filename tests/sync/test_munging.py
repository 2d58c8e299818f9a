"""A daemon that stores other symlinks than are sent shows them as they were; it is found all the same, and said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.views import why
from sync.core.model import State
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import destination, stand_with, wait_until
from tests.trees import assert_alike, write


@pytest.mark.parametrize("target", ["nowhere", "start/1.txt", "/etc/hostname", "../../x"])
def test_a_node_that_munges_symlinks_says_so_and_stays_in_sync(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
    target: str,
) -> None:
    if os.getuid() != 0 and target[0] in "/.":
        pytest.skip("without chroot, which takes root, a daemon changes targets that lead out of its module")
    chroot = "    use chroot = yes\n" if os.getuid() == 0 else ""
    munging = daemons(module_extra=f"{chroot}    munge symlinks = yes")
    plain = daemons(module_extra=chroot)
    nodes = {
        "munging": (destination("munging", munging), munging.module_path),
        "plain": (destination("plain", plain), plain.module_path),
    }
    with stand_with(tmp_path, nodes) as stand:
        (stand.root / "link").symlink_to(target)
        engine = stand.start()
        stand.all_ready()
        stand.at_head()
        assert os.readlink(munging.module_path / "link") == f"/rsyncd-munged/{target}"
        stand.audit()
        stand.audit()
        (said,) = stand.notes.said("audit", "munge symlinks = no")
        assert said.node == "munging"
        assert "munge symlinks = no" in engine.call(lambda: why(engine, engine.node("munging")))
        assert "munge symlinks" not in engine.call(lambda: why(engine, engine.node("plain")))
        assert stand.node("munging").in_sync
        (munging.folder / "rsyncd.conf").write_text(
            munging.config.replace("munge symlinks = yes", "munge symlinks = no")
        )
        stand.audit("munging")  # now the target itself differs: drift, and repaired
        wait_until(lambda: os.readlink(munging.module_path / "link") == target, 20, "repaired")
        wait_until(lambda: stand.state("munging") is State.READY, 20)
        stand.audit("munging")
        assert not stand.node("munging").alters_links
        assert_alike(stand.root, plain.module_path)


def test_a_daemon_that_cuts_what_leads_out_of_its_module_is_found_too(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    daemon = daemons()  # without chroot
    with stand_with(tmp_path, {"a": (destination("a", daemon), daemon.module_path)}) as stand:
        (stand.root / "link").symlink_to("/etc/hostname")
        (stand.root / "fine").symlink_to("start/1.txt")
        stand.start()
        stand.all_ready()
        assert os.readlink(daemon.module_path / "link") == "etc/hostname"
        stand.audit()
        assert stand.notes.said("audit", "use chroot = yes")


def test_links_that_are_as_they_were_sent_accuse_nobody(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    """Also while they change: what is on its way has another length."""
    daemon = daemons()
    with stand_with(tmp_path, {"a": (destination("a", daemon), daemon.module_path)}) as stand:
        for number in range(40):
            (stand.root / f"link-{number}").symlink_to("start/1.txt")
        engine = stand.start()
        stand.all_ready()
        for number in range(30):
            link = stand.root / f"link-{number % 40}"
            link.unlink()
            link.symlink_to("x" * (number + 1))
            if number % 10 == 0:
                engine.call(lambda: setattr(engine.field.nodes["a"], "audit_due", True))
        stand.at_head()
        stand.audit()
        assert not stand.notes.said("audit", "symlinks")


def test_a_node_that_cannot_be_read_from_is_not_accused(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    daemon = daemons(module_extra="    munge symlinks = yes\n    write only = yes")
    with stand_with(tmp_path, {"a": (destination("a", daemon), daemon.module_path)}) as stand:
        (stand.root / "link").symlink_to("nowhere")
        write(stand.root, "page", "x")
        stand.start()
        stand.all_ready()
        stand.audit()
        assert not stand.notes.said("audit")
        assert stand.node("a").in_sync
