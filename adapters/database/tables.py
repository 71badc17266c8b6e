"""Every table of the record, for SQLite and PostgreSQL alike: one home per fact (L29), times in UTC.

What must never be is refused here by an index or a check, whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Dialect, Double, ForeignKey, Index, Integer, Table, Text, TypeDecorator

from core.errors import Reason
from core.events import EventKind
from core.journal import EntryState, PageCheck, SealStatus, ShipState
from core.observations import Facts, Value
from core.registry import Argv
from core.releases import ACTIVE, Artefact, ReleaseState
from core.tasks import Stage, TaskType


class Utc(TypeDecorator[datetime]):
    """An aware time; stored and given back in UTC on both databases."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} says no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        # SQLite gives naive times back, PostgreSQL those of the session's zone.
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class Word(TypeDecorator[StrEnum]):
    """A member of a StrEnum, stored as its value."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


class Json(TypeDecorator[object]):
    """A value of `kind` (tuples, mappings, structs of them), stored as JSON."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, kind: object) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: object, dialect: Dialect) -> object:
        return msgspec.to_builtins(value)

    def process_result_value(self, value: object, dialect: Dialect) -> object:
        return msgspec.convert(value, cast("Any", self.kind))


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = sa.BigInteger().with_variant(Integer(), "sqlite")
_Reasons, _Facts, _Names = Json(tuple[Reason, ...]), Json(Facts), Json(tuple[str, ...])


def _id(name: str = "id") -> Column[int]:
    return Column(name, _Id, primary_key=True, autoincrement=True)


def _must(kind: Any, *names: str) -> list[Column[Any]]:
    """Columns that always have a value."""
    return [Column(name, kind, nullable=False) for name in names]


def _may(kind: Any, *names: str) -> list[Column[Any]]:
    """Columns that may have none."""
    return [Column(name, kind) for name in names]


def _part_of(owner: str, name: str, *, key: bool = False) -> Column[str]:
    """A column that names a row of `owner` by its slug; `key`: part of the primary key."""
    return Column(name, Text, ForeignKey(f"{owner}.slug"), nullable=False, primary_key=key)


def _not_blank(column: str) -> sa.CheckConstraint:
    """A blank never stands for a commit (L20)."""
    return sa.CheckConstraint(f"trim(\"{column}\") <> ''", name=f"{column}_not_blank")


def _only_one(name: str, column: Column[Any], where: sa.ColumnElement[bool]) -> Index:
    """Two rows that meet `where` must differ in `column`."""
    return Index(name, column, unique=True, sqlite_where=where, postgresql_where=where)


# ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

tasks = Table(
    "tasks",
    metadata,
    _id(),
    Column("slug", Text, nullable=False, unique=True),
    *_must(Word(TaskType), "type"),
    *_must(Word(Stage), "stage"),
    *_must(Text, "title", "shape", "worktree", "local_url", "qa_url", "production_url"),
    *_must(Text, "acceptance_criteria", "test_plan", "agent_context", "post_deploy_cmd", "builder"),
    *_must(_Names, "risk_tags"),
    Column("release", Text, ForeignKey("releases.slug")),
    *_must(Utc, "created_at"),
    *_may(Utc, "started_at", "completed_at"),
    Index(None, "stage", "id"),
)

task_works = Table(
    "task_works",
    metadata,
    _part_of("tasks", "task", key=True),
    Column("repository", Text, primary_key=True),
    *_must(Text, "branch"),
    *_must(Integer, "position"),
)

task_dependencies = Table(
    "task_dependencies",
    metadata,
    _part_of("tasks", "task", key=True),
    _part_of("tasks", "depends_on", key=True),
    *_must(Integer, "position"),
)

checks = Table(
    "checks",
    metadata,
    _id(),
    _part_of("tasks", "task"),
    *_must(Text, "text", "by"),
    *_may(Text, "commit"),
    *_must(Utc, "at"),
    _not_blank("commit"),
    Index(None, "task", "id"),
)

moves = Table(
    "moves",
    metadata,
    _id(),
    _part_of("tasks", "task"),
    *_may(Word(Stage), "origin"),
    *_must(Word(Stage), "to"),
    *_must(Text, "actor", "source", "reason"),
    *_must(Utc, "at"),
    *_may(Text, "model"),
    *_may(sa.BigInteger, "tokens"),
    *_may(Double, "seconds", "cost_usd"),
    Index(None, "task", "id"),
)

# ── releases ───────────────────────────────────────────────────────────────────────────────────────────────────────

releases = Table(
    "releases",
    metadata,
    _id(),
    Column("slug", Text, nullable=False, unique=True),
    *_must(Word(ReleaseState), "state"),
    *_must(Integer, "revision"),
    *_must(Text, "opened_by", "notes"),
    *_must(Utc, "opened_at"),
    *_may(Utc, "assembled_at", "closed_at"),
    # There is one track, and an active release stands on it: the same number in every row makes the index below.
    Column("track", Integer, nullable=False, server_default="1"),
    sa.CheckConstraint("track = 1", name="one_track"),
)
_only_one("uq_releases_one_active", releases.c.track, releases.c.state.in_(sorted(ACTIVE)))

members = Table(
    "members",
    metadata,
    _part_of("releases", "release", key=True),
    _part_of("tasks", "task", key=True),
    *_must(Integer, "position"),
)

frozen = Table(
    "frozen",
    metadata,
    _part_of("releases", "release", key=True),
    Column("repository", Text, primary_key=True),
    *_must(Text, "sha"),
    *_may(Text, "version"),
    *_must(Json(tuple[Artefact, ...]), "artefacts"),
    *_must(_Names, "requires", "by_reference"),
    *_must(Integer, "position"),
    _not_blank("sha"),
)

# ── ships ──────────────────────────────────────────────────────────────────────────────────────────────────────────

ships = Table(
    "ships",
    metadata,
    _id(),
    _part_of("releases", "release"),
    *_must(sa.LargeBinary, "plan"),
    *_must(Word(ShipState), "state"),
    *_must(Integer, "attempt"),
    *_must(Text, "plan_digest", "digest", "confirmed_by", "mention", "origin"),
    *_must(Utc, "confirmed_at"),
    *_may(Utc, "ended_at"),
    *_must(_Reasons, "reasons"),
    Index(None, "release", "id"),
)
# One running ship of all releases together (spec 6.10), hence one per release too.
_only_one("uq_ships_one_running", ships.c.state, ships.c.state == ShipState.RUNNING)

journal = Table(
    "journal",
    metadata,
    _part_of("releases", "release", key=True),
    Column("key", Text, primary_key=True),
    *_must(Word(EntryState), "state"),
    *_must(Integer, "attempt"),
    *_must(Text, "step", "log"),
    *_must(Boolean, "adopted"),
    *_must(Utc, "started_at"),
    *_may(Utc, "ended_at"),
    *_must(_Facts, "facts"),
    *_must(_Reasons, "reasons"),
)

evidence = Table(
    "evidence",
    metadata,
    _id(),
    *_must(Text, "repository", "commit"),
    *_must(Json(Argv), "argv"),
    *_must(Boolean, "green"),
    *_must(Utc, "at"),
    _not_blank("commit"),
    Index(None, "repository", "commit"),
)

seals = Table(
    "seals",
    metadata,
    _id(),
    *_must(Text, "release", "app", "summary"),
    *_must(Word(SealStatus), "status"),
    *_must(Utc, "checked_at"),
    *_must(Json(tuple[PageCheck, ...]), "checks"),
    *_must(_Names, "rollback"),
    Index(None, "release", "id"),
)

events = Table(
    "events",
    metadata,
    _id(),
    *_must(Word(EventKind), "kind"),
    *_must(Text, "release", "actor", "step"),
    *_must(Utc, "at"),
    *_must(Json(Mapping[str, Value | list[str]]), "facts"),
    Index(None, "release", "id"),
)

# ── the process that runs the train, and those that tell of it ─────────────────────────────────────────────────────

# One row per taking of the train: the newest is the current one, and its epoch fences every write.
leases = Table(
    "leases",
    metadata,
    _id("epoch"),
    *_must(Text, "owner", "node", "pid_started", "holder"),
    *_must(sa.BigInteger, "pid"),
    *_must(Utc, "acquired_at", "beat_at"),
    *_may(Utc, "ended_at"),
)

settings = Table("settings", metadata, Column("name", Text, primary_key=True), *_must(Text, "value"))

# What the projector has posted of a release, message by message: events `first_event` to `last_event` became
# message `seq`. The nonce lets a repeated post be recognised; `message_id` is the evidence of delivery (L49).
deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    *_must(Text, "release", "nonce", "channel", "kind", "state"),
    *_must(Integer, "seq"),
    *_must(sa.BigInteger, "first_event", "last_event"),
    *_must(sa.JSON, "content"),
    *_may(Text, "message_id"),
    sa.UniqueConstraint("release", "seq"),
    sa.CheckConstraint("state IN ('pending', 'sent')", name="state_known"),
)
