"""Every table of the record, for SQLite and PostgreSQL alike: one home per fact (L29), times in UTC.

What must never be is refused here by an index or a check, whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, Table

from adapters.database.columns import Json, Ordered, Text, Utc, Word, may, must, not_blank, only_one, part_of, row_id
from core.builds import Declared
from core.conversation import RemarkKind
from core.errors import Reason
from core.events import EventKind
from core.journal import EntryState, PageCheck, RunKind, RunState, SealStatus
from core.observations import Facts, Value
from core.permissions import Role
from core.registry import Argv, Sha
from core.releases import ACTIVE, Artefact, ReleaseState, Stay
from core.reviews import Finding, Seat, Verdict
from core.sizing import Bidder, Size
from core.tasks import Stage, TaskType

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Reasons, _Facts, _Names = Json(tuple[Reason, ...]), Json(Facts), Json(tuple[str, ...])

# ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

tasks = Table(
    "tasks",
    metadata,
    row_id(),
    Column("slug", Text, nullable=False, unique=True),
    *must(Word(TaskType), "type"),
    *must(Word(Stage), "stage"),
    *must(Text, "title", "shape", "worktree", "local_url", "qa_url", "production_url"),
    *must(Text, "acceptance_criteria", "test_plan", "agent_context", "post_deploy_cmd", "builder", "builder_id"),
    *must(_Names, "risk_tags"),
    Column("release", Text, ForeignKey("releases.slug")),
    *must(Utc, "created_at"),
    *may(Utc, "started_at", "completed_at"),
    *may(Word(Size), "actual"),
    *must(Integer, "revision"),
    Index(None, "stage", "id"),
    Index(None, "builder", "id"),
    Index(None, "release", "id"),
)

task_works = Table(
    "task_works",
    metadata,
    part_of("tasks", "task", key=True),
    Column("repository", Text, primary_key=True),
    *must(Text, "branch"),
    *must(Integer, "position"),
    Index(None, "repository", "task"),
)

task_dependencies = Table(
    "task_dependencies",
    metadata,
    part_of("tasks", "task", key=True),
    part_of("tasks", "depends_on", key=True),
    *must(Integer, "position"),
)

checks = Table(
    "checks",
    metadata,
    row_id(),
    part_of("tasks", "task"),
    *must(Text, "text", "by"),
    *may(Text, "commit"),
    *must(Utc, "at"),
    *must(Boolean, "machine"),
    not_blank("commit"),
    Index(None, "task", "id"),
)

moves = Table(
    "moves",
    metadata,
    row_id(),
    part_of("tasks", "task"),
    *may(Word(Stage), "origin"),
    *must(Word(Stage), "to"),
    *must(Text, "actor", "source", "reason"),
    *must(Utc, "at"),
    *may(Text, "model"),
    *may(sa.BigInteger, "tokens"),
    *may(Double, "seconds", "cost_usd"),
    Index(None, "task", "id"),
)

# What people search for: the slug itself, and the words of slug and title.
task_words = Table(
    "task_words",
    metadata,
    part_of("tasks", "task", key=True),
    Column("word", Ordered, primary_key=True),
    Index(None, "word", "task"),
)

edits = Table(
    "edits",
    metadata,
    row_id(),
    part_of("tasks", "task"),
    *must(Integer, "revision"),
    *must(Text, "field", "old", "new", "by"),
    *must(Utc, "at"),
    Index(None, "task", "revision"),
)

remarks = Table(
    "remarks",
    metadata,
    row_id(),
    part_of("tasks", "task"),
    *must(Word(RemarkKind), "kind"),
    *must(Text, "author", "author_id", "body", "resolved_by"),
    *must(Utc, "at"),
    *may(Utc, "resolved_at"),
    Index(None, "task", "id"),
)

reviews = Table(
    "reviews",
    metadata,
    row_id(),
    part_of("tasks", "task"),
    *must(Word(Seat), "seat"),
    *must(Word(Verdict), "verdict"),
    *must(Text, "reviewer", "reviewer_id", "body"),
    *must(Json(tuple[Finding, ...]), "findings"),
    *must(Json(dict[str, Sha]), "heads"),
    *must(Integer, "round"),
    *must(Utc, "at"),
    Index(None, "task", "id"),
)

bids = Table(
    "bids",
    metadata,
    part_of("tasks", "task", key=True),
    Column("bidder", Word(Bidder), primary_key=True),
    *must(Word(Size), "size"),
    *must(Text, "by", "by_id"),
    *must(Utc, "at"),
    sa.UniqueConstraint("task", "by_id"),
)

# Which identities an operator said are one person. What was taken back still counts for what was done before.
person_links = Table(
    "person_links",
    metadata,
    row_id(),
    *must(Text, "one", "other", "linked_by", "unlinked_by"),
    *must(Utc, "linked_at"),
    *may(Utc, "unlinked_at"),
)

# ── releases ───────────────────────────────────────────────────────────────────────────────────────────────────────

releases = Table(
    "releases",
    metadata,
    row_id(),
    Column("slug", Text, nullable=False, unique=True),
    *must(Word(ReleaseState), "state"),
    *must(Integer, "revision"),
    *must(Text, "opened_by", "notes"),
    *must(Utc, "opened_at"),
    *may(Utc, "assembled_at", "closed_at"),
    # There is one track, and an active release stands on it: the same number in every row makes the index below.
    Column("track", Integer, nullable=False, server_default="1"),
    sa.CheckConstraint("track = 1", name="one_track"),
)
only_one("uq_releases_one_active", releases.c.track, releases.c.state.in_(sorted(ACTIVE)))

members = Table(
    "members",
    metadata,
    part_of("releases", "release", key=True),
    part_of("tasks", "task", key=True),
    *must(Integer, "position"),
)

frozen = Table(
    "frozen",
    metadata,
    part_of("releases", "release", key=True),
    Column("repository", Text, primary_key=True),
    *must(Text, "sha"),
    *may(Text, "version"),
    *must(Json(tuple[Artefact, ...]), "artefacts"),
    *must(_Names, "requires", "by_reference"),
    *must(Json(Mapping[str, tuple[str, ...]]), "ranges"),
    *must(Json(tuple[Stay, ...]), "stays"),
    *must(Integer, "position"),
    not_blank("sha"),
)

# What was built is on record for good: what a registry lists later is ours, or it is not.
builds = Table(
    "builds",
    metadata,
    row_id(),
    *must(Text, "repository", "commit", "ecosystem", "distribution"),
    *must(Json(Declared), "declared"),
    *must(Json(tuple[Artefact, ...]), "artefacts"),
    *must(Utc, "at"),
    not_blank("commit"),
    Index(None, "repository", "id"),
)

# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

runs = Table(
    "runs",
    metadata,
    row_id(),
    part_of("releases", "release"),
    *must(Word(RunKind), "kind"),
    *must(sa.LargeBinary, "plan"),
    *must(Word(RunState), "state"),
    *must(Integer, "attempt"),
    *must(Json(Mapping[str, str]), "configuration"),
    *must(Text, "plan_digest", "digest", "confirmed_by", "mention", "origin"),
    *must(Utc, "confirmed_at"),
    *may(Utc, "ended_at"),
    *must(_Reasons, "reasons"),
    Index(None, "release", "id"),
)
# One run of all releases together (spec 6.10), hence one per release too.
only_one("uq_runs_one_running", runs.c.state, runs.c.state == RunState.RUNNING)

journal = Table(
    "journal",
    metadata,
    part_of("releases", "release", key=True),
    Column("key", Text, primary_key=True),
    *must(Word(EntryState), "state"),
    *must(Integer, "attempt"),
    *must(Text, "step", "log"),
    *must(Boolean, "adopted"),
    *must(Utc, "started_at"),
    *may(Utc, "ended_at"),
    *must(_Facts, "facts"),
    *must(_Reasons, "reasons"),
)

evidence = Table(
    "evidence",
    metadata,
    row_id(),
    *must(Text, "repository", "commit"),
    *must(Json(Argv), "argv"),
    *must(Boolean, "green"),
    *must(Utc, "at"),
    not_blank("commit"),
    Index(None, "repository", "commit"),
)

seals = Table(
    "seals",
    metadata,
    row_id(),
    *must(Text, "release", "app", "summary"),
    *must(Word(SealStatus), "status"),
    *must(Utc, "checked_at"),
    *must(Json(tuple[PageCheck, ...]), "checks"),
    *must(_Names, "rollback"),
    Index(None, "release", "id"),
)

events = Table(
    "events",
    metadata,
    row_id(),
    *must(Word(EventKind), "kind"),
    *must(Text, "release", "task", "actor", "actor_id", "step"),
    *must(Utc, "at"),
    *must(Json(Mapping[str, Value | list[str]]), "facts"),
    Index(None, "release", "id"),
)

# ── the process that runs the train, and those that tell of it ─────────────────────────────────────────────────────

# One row per taking of the train: the newest is the current one, and its epoch fences every write.
leases = Table(
    "leases",
    metadata,
    row_id("epoch"),
    *must(Text, "owner", "node", "pid_started", "holder"),
    *must(sa.BigInteger, "pid"),
    *must(Utc, "acquired_at", "beat_at"),
    *may(Utc, "ended_at"),
)

settings = Table("settings", metadata, Column("name", Text, primary_key=True), *must(Text, "value"))

# What the projector has posted of a release, message by message: events `first_event` to `last_event` became
# message `seq`. The nonce lets a repeated post be recognised; `message_id` is the evidence of delivery (L49).
deliveries = Table(
    "deliveries",
    metadata,
    row_id(),
    *must(Text, "release", "nonce", "channel", "kind", "state"),
    *must(Integer, "seq"),
    *must(sa.BigInteger, "first_event", "last_event"),
    *must(sa.JSON, "content"),
    *may(Text, "message_id"),
    sa.UniqueConstraint("release", "seq"),
    sa.CheckConstraint("state IN ('pending', 'sent')", name="state_known"),
)

# ── the door of the HTTP API ───────────────────────────────────────────────────────────────────────────────────────

# Secrets are stored as digests only (core/tokens.py).
tokens = Table(
    "tokens",
    metadata,
    row_id(),
    Column("digest", Text, nullable=False, unique=True),
    *must(Text, "name", "created_by", "revoked_by"),
    *must(Json(tuple[Role, ...]), "roles"),
    *must(Utc, "created_at"),
    *may(Utc, "expires_at", "revoked_at"),
)

# What each bearer's idempotency key was used for; a row without an answer was claimed, and no more is known.
answered = Table(
    "answered",
    metadata,
    Column("bearer", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    *must(Text, "request"),
    *may(sa.LargeBinary, "answer"),
    *must(Utc, "at"),
    Index(None, "at"),
)
