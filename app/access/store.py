"""People, sessions and tokens in the database: each call is one short transaction. Decides no access."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.access.errors import AccessError
from app.access.passwords import hashed, is_outdated, matches
from app.access.visitor import ROLE_MAY, SCOPE_MAY, Role, Scope, Visitor
from app.database import writing
from app.models import READ, SessionRow, TokenRow, UserRow, db
from app.stores.journal import explain
from sync.ports import StoreError

DAY = 86_400.0
SESSION_SECONDS = 30 * DAY
IDLE_SECONDS = 7 * DAY
SEEN_EVERY_SECONDS = 60.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
PREFIX = "lks_"

Facts = dict[str, Any]


def digest(secret: str) -> bytes:
    """What is kept of a key or token."""
    return hashlib.sha256(secret.encode()).digest()


class AccessStore:
    """Thread-safe. Raises AccessError for what cannot be, StoreError when the database is away."""

    def __init__(self, app: Flask, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._clock = clock

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._app.app_context():
            try:
                with writing() as session:
                    yield session
            except sa.exc.SQLAlchemyError as error:
                raise StoreError(explain(error, db.engine.dialect.name)) from error

    def _read(self, query: Any) -> Sequence[sa.Row[Any]]:
        with self._app.app_context():
            engine = db.engines[READ]
            try:
                with engine.connect() as connection:
                    return connection.execute(query).all()
            except sa.exc.SQLAlchemyError as error:
                raise StoreError(explain(error, engine.dialect.name)) from error

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────

    def has_administrator(self) -> bool:
        """Whether there is one."""
        wanted = UserRow.role == Role.ADMINISTRATOR.value
        return bool(self._read(sa.select(UserRow.id).where(wanted).limit(1)))

    def users(self) -> list[Facts]:
        """Everybody: id, name, role, created_at, last_login_at, sessions."""
        count = sa.select(sa.func.count()).where(SessionRow.user_id == UserRow.id).scalar_subquery()
        columns = (UserRow.id, UserRow.name, UserRow.role, UserRow.created_at, UserRow.last_login_at)
        query = sa.select(*columns, count.label("sessions")).order_by(UserRow.name)
        return [dict(row._mapping) for row in self._read(query)]

    def add_user(self, name: str, role: str, password: str, *, first: bool = False) -> None:
        """Adds a person. ``first``: only while there is no administrator."""
        kept = hashed(password)
        row = UserRow(name=user_name(name), role=role_of(role), password=kept, created_at=self._clock())
        with self._write() as session:
            taken = sa.select(UserRow.id).where(sa.func.lower(UserRow.name) == name.lower())
            if session.scalar(taken) is not None:
                raise AccessError(f"there is a user {name} already", "conflict", "name")
            if first and _administrators(session):
                raise AccessError("there is an administrator by now: log in instead", "conflict")
            session.add(row)

    def set_password(self, name: str, password: str) -> None:
        """Gives a person another password and ends their sessions."""
        kept = hashed(password)
        with self._write() as session:
            user = _user(session, name)
            user.password = kept
            session.execute(sa.delete(SessionRow).where(SessionRow.user_id == user.id))

    def set_role(self, name: str, role: str) -> None:
        """Gives a person another role; the last administrator keeps theirs."""
        wanted = role_of(role)
        with self._write() as session:
            user = _user(session, name)
            if wanted != Role.ADMINISTRATOR.value:
                _not_the_last(session, user)
            user.role = wanted

    def remove_user(self, name: str) -> None:
        """Removes a person and ends their sessions; the last administrator stays."""
        with self._write() as session:
            user = _user(session, name)
            _not_the_last(session, user)
            session.execute(sa.delete(SessionRow).where(SessionRow.user_id == user.id))
            session.delete(user)

    def check_password(self, name: str, password: str) -> int | None:
        """The person's id when the password is theirs, None when it is not or there is no such person."""
        query = sa.select(UserRow.id, UserRow.password).where(sa.func.lower(UserRow.name) == name.lower())
        found = self._read(query)
        user: Any = found[0] if found else None
        if not matches(user.password if user else None, password):
            return None
        if is_outdated(user.password):
            self._renew(user.id, hashed(password))
        return int(user.id)

    def _renew(self, user_id: int, kept: str) -> None:
        with self._write() as session:
            session.execute(sa.update(UserRow).where(UserRow.id == user_id).values(password=kept))

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────

    def begin_session(self, user_id: int, address: str, agent: str) -> str:
        """A new session's key; the only time it is known in clear."""
        key, now = secrets.token_urlsafe(32), self._clock()
        with self._write() as session:
            session.execute(sa.delete(SessionRow).where(self._over(now)))
            session.add(
                SessionRow(
                    key=digest(key),
                    user_id=user_id,
                    created_at=now,
                    seen_at=now,
                    address=address[:64],
                    agent=agent.encode("ascii", "replace").decode()[:255],
                )
            )
            session.execute(sa.update(UserRow).where(UserRow.id == user_id).values(last_login_at=now))
        return key

    def _over(self, now: float) -> sa.ColumnElement[bool]:
        too_old = SessionRow.created_at < now - SESSION_SECONDS
        return sa.or_(too_old, SessionRow.seen_at < now - IDLE_SECONDS)

    def visitor_of_session(self, key: str) -> Visitor | None:
        """The person whose session this is, None when it has ended."""
        now = self._clock()
        query = (
            sa.select(SessionRow.id, SessionRow.seen_at, UserRow.id, UserRow.name, UserRow.role)
            .join(UserRow, UserRow.id == SessionRow.user_id)
            .where(SessionRow.key == digest(key), sa.not_(self._over(now)))
        )
        found = self._read(query)
        if not found:
            return None
        row: Any = found[0]
        session_id, seen_at, user_id, name, role = row
        if now - seen_at > SEEN_EVERY_SECONDS:
            self._seen(SessionRow, session_id, {"seen_at": now})
        return Visitor("user", name, ROLE_MAY[Role(role)], user_id, Role(role), session_id, key=key)

    def _seen(self, model: Any, row_id: int, values: Facts) -> None:
        """Notes a use; a database that is busy or away loses the note and keeps nobody out."""
        try:
            with self._write() as session:
                session.execute(sa.update(model).where(model.id == row_id).values(**values))
        except StoreError:
            return

    def sessions(self, user_id: int | None = None) -> list[Facts]:
        """Sessions (of one person): id, user, created_at, seen_at, address, agent. Newest use first."""
        columns = (
            SessionRow.id,
            SessionRow.user_id,
            UserRow.name.label("user"),
            SessionRow.created_at,
            SessionRow.seen_at,
            SessionRow.address,
            SessionRow.agent,
        )
        query = sa.select(*columns).join(UserRow, UserRow.id == SessionRow.user_id)
        query = query.where(sa.not_(self._over(self._clock()))).order_by(SessionRow.seen_at.desc())
        if user_id is not None:
            query = query.where(SessionRow.user_id == user_id)
        return [dict(row._mapping) for row in self._read(query)]

    def end_session(self, session_id: int, user_id: int | None = None) -> bool:
        """Ends a session (of this person); whether there was one."""
        wanted = sa.delete(SessionRow).where(SessionRow.id == session_id)
        if user_id is not None:
            wanted = wanted.where(SessionRow.user_id == user_id)
        with self._write() as session:
            return bool(session.execute(wanted).rowcount)  # type: ignore[attr-defined]

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────

    def add_token(self, name: str, scopes: Sequence[str], node: str | None = None) -> str:
        """A new token; the only time it is known in clear."""
        wanted = scopes_of(scopes, node)
        token = PREFIX + secrets.token_urlsafe(32)
        row = TokenRow(
            name=user_name(name),
            hash=digest(token),
            scopes=" ".join(wanted),
            node=node,
            created_at=self._clock(),
        )
        with self._write() as session:
            if session.scalar(sa.select(TokenRow.id).where(TokenRow.name == name)) is not None:
                raise AccessError(
                    f"there is a token {name} already: revoke it, or choose another name", "conflict", "name"
                )
            session.add(row)
        return token

    def tokens(self) -> list[Facts]:
        """Every token: id, name, scopes, node, created_at, used_at."""
        columns = (
            TokenRow.id,
            TokenRow.name,
            TokenRow.scopes,
            TokenRow.node,
            TokenRow.created_at,
            TokenRow.used_at,
        )
        rows = self._read(sa.select(*columns).order_by(TokenRow.name))
        return [dict(row._mapping) | {"scopes": row.scopes.split()} for row in rows]

    def revoke_token(self, name: str) -> None:
        """Ends a token. Raises AccessError when there is none of this name."""
        with self._write() as session:
            if not session.execute(sa.delete(TokenRow).where(TokenRow.name == name)).rowcount:  # type: ignore[attr-defined]
                raise AccessError(f"there is no token {name}", "not_found")

    def visitor_of_token(self, token: str) -> Visitor | None:
        """The program whose token this is."""
        columns = (TokenRow.id, TokenRow.name, TokenRow.scopes, TokenRow.node, TokenRow.used_at)
        found = self._read(sa.select(*columns).where(TokenRow.hash == digest(token)))
        if not found:
            return None
        row = found[0]
        now = self._clock()
        if row.used_at is None or now - row.used_at > SEEN_EVERY_SECONDS:
            self._seen(TokenRow, row.id, {"used_at": now})
        may = frozenset().union(*(SCOPE_MAY[Scope(scope)] for scope in row.scopes.split()))
        return Visitor("token", row.name, may, row.id, node=row.node)


def user_name(name: str) -> str:
    """The name itself. Raises AccessError for one that cannot be taken."""
    if not NAME.match(name):
        raise AccessError(
            "a name has up to 64 letters, digits and . _ @ - and begins with one of the first two",
            field="name",
        )
    return name


def role_of(role: str) -> str:
    """The role itself. Raises AccessError for one that does not exist."""
    try:
        return Role(role).value
    except ValueError:
        raise AccessError(f"the roles are {', '.join(Role)}", field="role") from None


def scopes_of(scopes: Sequence[str], node: str | None) -> list[str]:
    """The scopes in order, each once. Raises AccessError for an unknown one, or `report` without a node."""
    try:
        wanted = sorted({Scope(scope).value for scope in scopes})
    except ValueError:
        raise AccessError(f"the scopes are {', '.join(Scope)}", field="scopes") from None
    if not wanted:
        raise AccessError(f"a token needs a scope: {', '.join(Scope)}", field="scopes")
    if (Scope.REPORT.value in wanted) != (node is not None):
        raise AccessError(
            "the scope report and a node go together: the node is whom the token may move", field="node"
        )
    return wanted


def _user(session: Session, name: str) -> UserRow:
    found = session.scalar(sa.select(UserRow).where(UserRow.name == name))
    if found is None:
        raise AccessError(f"there is no user {name}", "not_found", "name")
    return found


def _administrators(session: Session) -> int:
    query = sa.select(sa.func.count()).where(UserRow.role == Role.ADMINISTRATOR.value)
    return session.scalar(query) or 0


def _not_the_last(session: Session, user: UserRow) -> None:
    if user.role == Role.ADMINISTRATOR.value and _administrators(session) == 1:
        raise AccessError(f"{user.name} is the only administrator: make another one first", "conflict")
