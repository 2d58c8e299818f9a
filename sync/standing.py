"""Looks after the publish directory itself: is it there, is it the same, has it shrunk? Deletes nothing.

What is seen is judged by sync/core/rails.py. A root that was replaced counts as *being compared* until a scan
of everything that began after the replacement has ended: before that nobody knows what it lacks.
"""

from __future__ import annotations

import os

from sync.core.model import Kind
from sync.core.rails import Identity, Peak, Source, fault
from sync.core.scope import Scope
from sync.ports import Meta
from sync.scan import look, root_identity


class Standing:
    """The source's standing; owned by the surveyor's thread, but for ``refusal``."""

    def __init__(self, root: bytes) -> None:
        self.root_path = root
        self.root: Identity | None = None
        self.expected: Identity | None = None
        self.fault: str | None = None
        self.comparing = True
        self.epoch = 0
        """How often another directory was found at the root: a scan of an earlier one says nothing."""
        self.peak = Peak()
        self.mounts: set[bytes] = set()
        self._forgiven: set[bytes] = set()  # configured sub-folders whose absence a person has accepted
        self._stored_inode = 0

    def restore(self, meta: Meta, scope: Scope, now: float) -> None:
        """What the last run knew of the source."""
        self.peak.add(now, meta.files)
        self._stored_inode = meta.root_inode
        self.mounts = {os.fsencode(m) for m in meta.mounts}

    def look(self) -> bool:
        """Looks at the root; whether another directory (or none) stands there than at the last look."""
        identity = root_identity(self.root_path)
        root = Identity(*identity) if identity is not None else None
        changed = root != self.root
        if changed:
            self.root = root
            self.comparing = True
            self.epoch += 1
        if root is not None and self.expected is None:
            self.expected = Identity(root.dev, self._stored_inode or root.inode)
        return changed

    def compared(self, epoch: int) -> None:
        """A scan of everything has ended that began in this epoch."""
        if epoch == self.epoch and self.root is not None:
            self.comparing = False

    def judge(
        self, now: float, scope: Scope, max_shrink_percent: float, live: int, lacking: int
    ) -> str | None:
        """Why nothing may be deleted. ``live`` paths are known, ``lacking`` of them were not found."""
        self._forgiven = {p for p in self._forgiven if not self._is_directory(p)}
        if not lacking:
            self.peak.add(now, live)
            if not self.comparing and self.root is not None:
                self.expected = self.root  # one that lacks nothing
        self.fault = fault(
            Source(
                root=self.root if root_identity(self.root_path) is not None else None,
                expected=self.expected,
                lacks=lacking,
                files=live - lacking,
                peak=self.peak.value(now),
                is_empty=self.root is not None and self._is_empty(scope),
                mounts={m: is_mounted(self.root_path, m) for m in sorted(self.mounts)},
                missing_paths=tuple(
                    p for p in scope.paths if p not in self._forgiven and not self._is_directory(p)
                ),
            ),
            max_shrink_percent,
        )
        return self.fault

    def accept(self, now: float, files: int, scope: Scope) -> str | None:
        """A person takes the source as it is; why that cannot be, or None."""
        self.look()
        if self.root is None:
            return "the publish directory is missing or is no directory: mount or restore it first"
        self.expected = self.root
        self.peak.reset(now, files)
        self.mounts = {m for m in self.mounts if is_mounted(self.root_path, m)}
        self._forgiven = {p for p in scope.paths if not self._is_directory(p)}
        self.fault = None
        return None

    def forget_paths_but(self, paths: tuple[bytes, ...]) -> None:
        """Other sub-folders are configured now."""
        self._forgiven &= set(paths)

    def refusal(self) -> str | None:
        """Why no run with deletion may start this moment, or None. From any thread: looks at the root itself."""
        if self.fault:
            return self.fault
        if self.comparing:
            return "the publish directory was replaced just now: it is being compared"
        identity = root_identity(self.root_path)
        if identity is None:
            return "the publish directory is missing or is no directory: mount or restore it"
        if Identity(*identity) != self.root:
            return "the publish directory was replaced just now: it is being compared"
        for mount in tuple(self.mounts):
            if not is_mounted(self.root_path, mount):
                return "something was unmounted in the publish directory just now"
        return None

    def _is_directory(self, path: bytes) -> bool:
        try:
            return look(self.root_path, path).kind is Kind.DIRECTORY
        except OSError:
            return False

    def _is_empty(self, scope: Scope) -> bool:
        try:
            with os.scandir(self.root_path) as entries:
                return not any(scope.carries(e.name, e.is_dir(follow_symlinks=False)) for e in entries)
        except OSError:
            return False  # not known: what cannot be read is not empty


def is_mounted(root: bytes, path: bytes) -> bool:
    """Whether another file system begins at the path below the root."""
    full = os.path.join(root, path)
    try:
        return os.lstat(full).st_dev != os.lstat(os.path.dirname(full)).st_dev
    except OSError:
        return False
