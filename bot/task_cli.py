"""`stationmaster task …`: the whole task board; the same verbs and words as in Discord."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bot.command_line import Group, Option, actor, dressed, json_option, opened_board, runs, show

if TYPE_CHECKING:
    from bot.task_console import Found
    from core.board import Board

Verb = Callable[..., Awaitable["Found"]]
_slug = click.argument("slug")
_after = click.option("--after", metavar="SLUG", help="Go on where the list before ended.")
_limit = click.option("--limit", type=click.IntRange(1), default=25, show_default=True)


@click.group(cls=Group)
def task() -> None:
    """Create, build, hand on, review and size tasks. A TEXT of - is read from the standard input."""


def text(value: str) -> str:
    """A type of click's: what was typed, or for - what comes on the standard input."""
    return sys.stdin.read() if value == "-" else value


def _verb(name: str, *options: Option) -> Callable[[Verb], click.Command]:
    """A command on the board; what it gives back is printed, with --json for programs."""

    def made(act: Verb) -> click.Command:
        @wraps(act)
        async def command(as_json: bool, **given: Any) -> None:
            from bot.task_console import told

            async with opened_board() as board:
                show(await act(board, **given), told, as_json)

        return task.command(name)(dressed(runs(command), (*options, json_option)))

    return made


def _fields(is_new: bool) -> list[Option]:
    """What a task is made of, as options of `new` and of `edit`."""
    kind = "feature" if is_new else None
    return [
        click.option("--repo", "repositories", multiple=True, required=is_new, metavar="NAME[=BRANCH]"),
        click.option("--shape", required=is_new, help="The kind of change, from config/feature_shapes.yml."),
        click.option("--type", "kind", default=kind, show_default=is_new, help="feature, bug, chore or docs."),
        click.option("--post-deploy", "post_deploy_cmd", metavar="COMMAND", help="Runs on the app after the deploy."),
        click.option("--acceptance", "acceptance_criteria", type=text, help="Acceptance criteria."),
        click.option("--test-plan", type=text, help="Expected test plan."),
    ]


# ── looking ────────────────────────────────────────────────────────────────────────────────────────────────────────


@_verb("show", _slug)
async def task_show(board: Board, slug: str) -> Found:
    """Show everything about the task SLUG."""
    return await board.show(actor(), slug)


@_verb(
    "list",
    click.option("--stage", help="Only tasks of this stage."),
    click.option("--repo", "repository", help="Only tasks that touch this repository."),
    click.option("--builder", help="Only tasks that this person or program builds."),
    click.option("--release", help="Only tasks that ride this train."),
    _limit,
    _after,
)
async def task_list(board: Board, stage: str | None, **wanted: Any) -> Found:
    """List the newest tasks."""
    from bot.drafts import known
    from core.tasks import Stage, TaskQuery

    return await board.list(TaskQuery(stage=known(Stage, "stage", stage) if stage else None, **wanted))


@_verb("search", click.argument("words", nargs=-1, required=True), _limit, _after)
async def task_search(board: Board, words: tuple[str, ...], **wanted: Any) -> Found:
    """List the tasks whose slug or title has these WORDS, or words that begin so."""
    from core.tasks import TaskQuery

    return await board.list(TaskQuery(text=" ".join(words), **wanted))


@_verb("calibration")
async def task_calibration(board: Board) -> Found:
    """Show how far the bids of PM, PO and Dev are from what tasks turned out to be."""
    return await board.calibration()


# ── making and changing ────────────────────────────────────────────────────────────────────────────────────────────


@_verb(
    "new",
    click.argument("title"),
    click.option("--slug", default="", help="Derived from the title when not given."),
    click.option("--depends-on", multiple=True, metavar="TASK", help="Ships with or before it."),
    *_fields(is_new=True),
)
async def task_new(board: Board, **given: Any) -> Found:
    """Create a task called TITLE."""
    from bot.drafts import draft

    return await board.new(actor(), draft(**{name: value for name, value in given.items() if value is not None}))


@_verb(
    "edit",
    _slug,
    click.option(
        "--revision", type=int, help="Of the task that you saw: what others changed since is not overwritten."
    ),
    click.option("--title"),
    *_fields(is_new=False),
    click.option("--context", "agent_context", type=text, help="Agent context."),
    click.option("--risk", "risks", multiple=True, help="Once per risk tag."),
    click.option("--worktree"),
    click.option("--local-url"),
    click.option("--qa-url"),
    click.option("--production-url"),
)
async def task_edit(board: Board, slug: str, revision: int | None, risks: tuple[str, ...], **given: Any) -> Found:
    """Change what is given of the task SLUG, and nothing else."""
    from bot.drafts import changes
    from core.errors import Refused

    wanted = changes(slug, risks=risks or None, **given)
    if not wanted.given():
        raise Refused("no change was given", "an edit changes what its options name", "task edit --help")
    return await board.edit(actor(), slug, wanted, revision)


@_verb("depend", _slug, click.argument("on"), click.option("--remove", is_flag=True, help="It does not any more."))
async def task_depend(board: Board, slug: str, on: str, remove: bool) -> Found:
    """Say that the task SLUG ships with or after the task ON."""
    return await board.depend(actor(), slug, on, remove)


# ── from stage to stage ────────────────────────────────────────────────────────────────────────────────────────────


@_verb(
    "move", _slug, click.argument("stage"), click.option("--reason", default="", help="Why; needed to block a task.")
)
async def task_move(board: Board, slug: str, stage: str, reason: str) -> Found:
    """Move the task SLUG to STAGE."""
    from bot.drafts import known
    from core.tasks import Stage

    return await board.move(actor(), slug, known(Stage, "stage", stage), reason)


@_verb("start", _slug)
async def task_start(board: Board, slug: str) -> Found:
    """Begin to build the task SLUG."""
    return await board.start(actor(), slug)


@_verb(
    "handoff",
    _slug,
    click.option("--file", "whole", type=click.File("rb"), help="All of it as JSON, - for the standard input."),
    click.option("--changed", default="", help="What changed."),
    click.option("--verified", default="", help="What was verified."),
    click.option("--look-first", default="", help="What to look at first."),
    click.option("--check", "checks", multiple=True, metavar='"[TIER] …"', help="Once per check that was run."),
    click.option("--model", help="Which model did the work."),
    click.option("--tokens", type=click.IntRange(0), help="How many tokens it took."),
    click.option("--cost", "cost_usd", type=click.FloatRange(0), help="What it cost, in USD."),
)
async def task_handoff(
    board: Board, slug: str, whole: Any, model: str | None, tokens: int | None, cost_usd: float | None, **said: Any
) -> Found:
    """Hand the task SLUG on to its reviewers: out of building, this submits it."""
    from bot.drafts import read
    from core.handoffs import Handoff
    from core.tasks import Reported

    if whole:
        left = read(whole.read(), Handoff, "the handoff")
    else:
        left = Handoff(**said, reported=Reported(model, tokens, cost_usd))
    return await board.handoff(actor(), slug, left)


@_verb("block", _slug, click.argument("reason", type=text))
async def task_block(board: Board, slug: str, reason: str) -> Found:
    """Stop the task SLUG for a REASON."""
    return await board.block(actor(), slug, reason)


@_verb("unblock", _slug)
async def task_unblock(board: Board, slug: str) -> Found:
    """Go on building the blocked task SLUG."""
    return await board.unblock(actor(), slug)


@_verb(
    "review",
    _slug,
    click.argument("seat", metavar="heavy|light"),
    click.argument("verdict", metavar="approve|approve-with-nits|request-changes"),
    click.option("--finding", "findings", multiple=True, metavar='"SEVERITY: …"', help="blocker, major, minor or nit."),
    click.option("--body", default="", type=text, help="Anything else."),
)
async def task_review(board: Board, slug: str, seat: str, verdict: str, findings: tuple[str, ...], body: str) -> Found:
    """Give a verdict on the task SLUG from one of the two seats."""
    from bot.drafts import findings as found_in
    from bot.drafts import known
    from core.reviews import Seat, Verdict

    found = found_in("\n".join(" ".join(one.split()) for one in findings))
    return await board.review(actor(), slug, known(Seat, "seat", seat), known(Verdict, "verdict", verdict), found, body)


@_verb("archive", _slug)
async def task_archive(board: Board, slug: str) -> Found:
    """Put the shipped task SLUG away."""
    return await board.archive(actor(), slug)


# ── talking ────────────────────────────────────────────────────────────────────────────────────────────────────────


@_verb("comment", _slug, click.argument("text", type=text), click.option("--clarification", is_flag=True))
async def task_comment(board: Board, slug: str, text: str, clarification: bool) -> Found:
    """Say TEXT about the task SLUG."""
    return await board.comment(actor(), slug, text, clarification)


@_verb("feedback", _slug, click.argument("text", type=text))
async def task_feedback(board: Board, slug: str, text: str) -> Found:
    """Say what QA found in the task SLUG; it is not reviewed until a handoff answers that."""
    return await board.feedback(actor(), slug, text)


@_verb("resolve", _slug, click.argument("number", type=int))
async def task_resolve(board: Board, slug: str, number: int) -> Found:
    """Take the feedback with this NUMBER as answered."""
    return await board.resolve(actor(), slug, number)


# ── sizes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@_verb("size", _slug, click.argument("bidder", metavar="PM|PO|Dev"), click.argument("size", metavar="S|M|L|XL"))
async def task_size(board: Board, slug: str, bidder: str, size: str) -> Found:
    """Bid for the task SLUG; sealed until all three have bid."""
    from bot.drafts import known
    from core.sizing import Bidder, Size

    return await board.bid(actor(), slug, known(Bidder, "bidder", bidder), known(Size, "size", size))


@_verb("actual", _slug, click.argument("size", metavar="S|M|L|XL"))
async def task_actual(board: Board, slug: str, size: str) -> Found:
    """Say how big the shipped task SLUG was."""
    from bot.drafts import known
    from core.sizing import Size

    return await board.actual(actor(), slug, known(Size, "size", size))
