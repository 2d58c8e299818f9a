"""One writer of the storm: does random things to a tree until its time is over. Seeded, and never surprised.

python -m tests.storm_writer ROOT OUTSIDE SEED SECONDS PACE

OUTSIDE.linked gets the inode of every file that ever had two names, a line each.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import sys
import time
from collections.abc import Callable

from tests.trees import ODD_NAMES

AT_FDCWD, RENAME_EXCHANGE = -100, 2
ELSEWHERE = b"../elsewhere"
"""Leads out of the tree, for nobody to follow. A writer may: by the time it enters a folder, another has put a link
there. So it leads to where nothing matters, unlike `..`, through which publish and var themselves were renamed.
"""
_libc = ctypes.CDLL(None, use_errno=True)


class Writer:
    """Random changes below ``root``; ``outside`` is a folder on the same file system to move things to."""

    def __init__(self, root: bytes, outside: bytes, seed: int) -> None:
        self.root, self.outside = root, outside
        self.random = random.Random(seed)
        self.count = 0
        self.actions: list[tuple[int, Callable[[], None]]] = [
            (20, self.create),
            (14, self.overwrite),
            (6, self.append),
            (5, self.replace),
            (4, self.same_size_same_time),
            (4, self.mode),
            (4, self.touch),
            (8, self.folder),
            (9, self.rename),
            (4, self.exchange),
            (4, self.link),
            (5, self.change_kind),
            (4, self.hard_link),
            (9, self.delete),
            (2, self.delete_tree),
            (2, self.move_out),
            (3, self.move_in),
            (1, self.grow),
            (1, self.burst),
            (1, self.fifo),
            (2, self.rewrite_tree),
        ]

    # ── choosing ─────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        action = self.random.choices([a for _, a in self.actions], [w for w, _ in self.actions])[0]
        with contextlib.suppress(OSError):  # somebody else was there first
            action()

    def name(self) -> bytes:
        self.count += 1
        if self.random.random() < 0.25:
            return self.random.choice(ODD_NAMES)
        return b"%c%d" % (self.random.choice(b"abcde"), self.random.randrange(12))

    def directory(self) -> bytes:
        """An existing directory, not too deep."""
        here = self.root
        for _ in range(self.random.randrange(4)):
            below = [e.path for e in os.scandir(here) if e.is_dir(follow_symlinks=False)]
            if not below:
                break
            here = self.random.choice(sorted(below))
        return here

    def any(self) -> bytes:
        """Something that exists (but not the stable part of the tree)."""
        here = self.directory()
        names = sorted(n for n in os.listdir(here) if not n.startswith(b"stable"))
        if not names:
            raise FileNotFoundError
        return os.path.join(here, self.random.choice(names))

    def file(self) -> bytes:
        here = self.directory()
        files = sorted(e.path for e in os.scandir(here) if e.is_file(follow_symlinks=False))
        if not files:
            raise FileNotFoundError
        return self.random.choice(files)

    def new(self) -> bytes:
        return os.path.join(self.directory(), self.name())

    def content(self) -> bytes:
        size = self.random.choice((0, 1, 17, 300, 300, 5000, 5000, 70_000))
        if self.random.random() < 0.01:
            size = 900_000
        return self.random.randbytes(size)

    # ── doing ────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, path: bytes, content: bytes, how: str = "wb") -> None:
        def without_waiting(name: str, flags: int) -> int:
            # It may be a fifo by now, or a link, through which a test run by root would write anywhere.
            return os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)

        with open(path, how, opener=without_waiting) as file:  # type: ignore[arg-type]
            file.write(content)

    def create(self) -> None:
        self._write(self.new(), self.content())

    def overwrite(self) -> None:
        self._write(self.file(), self.content())

    def append(self) -> None:
        self._write(self.file(), self.content(), "ab")

    def replace(self) -> None:
        path = self.file()
        temporary = path[:-4] + b".tmp" if len(path) > 250 else path + b".tmp"
        self._write(temporary, self.content())
        os.rename(temporary, path)

    def same_size_same_time(self) -> None:
        path = self.file()
        before = os.lstat(path)
        self._write(path, self.random.randbytes(before.st_size), "r+b")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def mode(self) -> None:
        path = self.any()
        if not os.path.islink(path):
            os.chmod(path, self.random.choice((0o600, 0o644, 0o755, 0o444, 0o700)))

    def touch(self) -> None:
        at = 10**9 * self.random.randrange(10**9) + self.random.randrange(10**9)
        os.utime(self.any(), ns=(at, at), follow_symlinks=False)

    def folder(self) -> None:
        path = self.new()
        os.mkdir(path)
        if self.random.random() < 0.4:
            os.mkdir(os.path.join(path, self.name()))

    def rename(self) -> None:
        os.rename(self.any(), self.new())

    def exchange(self) -> None:
        one, other = self.any(), self.any()
        if _libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    def link(self) -> None:
        path = self.new()
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.symlink(
            self.random.choice((b"nowhere", ELSEWHERE, b"/nonexistent/absolute", self.name(), b"a/b")), path
        )

    def change_kind(self) -> None:
        path = self.any()
        self._remove(path)
        kind = self.random.randrange(3)
        if kind == 0:
            self._write(path, self.content())
        elif kind == 1:
            os.mkdir(path)
            for _ in range(self.random.randrange(4)):
                self._write(os.path.join(path, self.name()), self.content())
        else:
            os.symlink(self.name(), path)

    def hard_link(self) -> None:
        path, other = self.file(), self.new()
        with open(self.outside + b".linked", "a") as linked:  # before the link is there
            linked.write(f"{os.lstat(path).st_ino}\n")
        os.link(path, other)
        if self.random.random() < 0.5:
            self._write(path, self.content(), "ab")

    def delete(self) -> None:
        self._remove(self.any(), trees=False)

    def delete_tree(self) -> None:
        self._remove(self.any())

    def _remove(self, path: bytes, trees: bool = True) -> None:
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
        elif trees:
            shutil.rmtree(path)
        else:
            os.rmdir(path)

    def move_out(self) -> None:
        self.count += 1
        os.rename(self.any(), os.path.join(self.outside, b"%d-%d" % (os.getpid(), self.count)))

    def move_in(self) -> None:
        names = sorted(os.listdir(self.outside))
        if names:
            os.rename(os.path.join(self.outside, self.random.choice(names)), self.new())

    def grow(self) -> None:
        path = self.new()
        for _ in range(self.random.randrange(3, 12)):
            self._write(path, self.content(), "ab")
            time.sleep(0.03)

    def burst(self) -> None:
        here = self.new()
        os.mkdir(here)
        for number in range(self.random.randrange(20, 150)):
            self._write(os.path.join(here, b"burst-%d" % number), self.content()[:300])

    def rewrite_tree(self) -> None:
        """A published site's way: everything anew beside the old one, then two renames."""
        old = self.directory()
        if old == self.root or os.path.basename(old).startswith(b"stable"):
            return
        fresh, aside = old + b"~new", old + b"~old"
        shutil.copytree(old, fresh, symlinks=True, dirs_exist_ok=True)
        os.rename(old, aside)
        os.rename(fresh, old)
        shutil.rmtree(aside)

    def fifo(self) -> None:
        os.mkfifo(self.new())


def main(root: str, outside: str, seed: str, seconds: str, pace: str) -> None:
    os.makedirs(os.path.join(os.fsencode(root), ELSEWHERE, b"folder"), exist_ok=True)
    writer = Writer(os.fsencode(root), os.fsencode(outside), int(seed))
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        writer.step()
        time.sleep(writer.random.expovariate(1 / float(pace)))


if __name__ == "__main__":
    main(*sys.argv[1:6])
