"""`/task …`: parse, call the use case of the board, show the screen; long texts are typed into forms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

import discord
from discord import app_commands

from bot import task_screens
from bot.answering import acting, actor_of, answer
from bot.client import DiscordSettings
from bot.completion import MOST, Choices, fitting, last_word, offered
from bot.drafts import changes, draft, known
from bot.message import Act, Button
from bot.task_forms import TaskForms
from core.board import Board
from core.conversation import Remark
from core.permissions import Actor
from core.registry import Registry
from core.reviews import Seat, Verdict
from core.sizing import Bidder, Size
from core.tasks import MOVES, TITLE_LIMIT, Stage, Task, TaskQuery, TaskType, legal_moves

Picked = app_commands.Choice[str]
Text = app_commands.Range[str, 1, 6000]
_AGAIN = (Stage.REVIEWED, Stage.ASSEMBLED)  # what QA found is mended, handed off, and looked at again
_WHERE = {
    "start": (Stage.DESIGNED,),
    "handoff": (Stage.BUILDING, Stage.SUBMITTED, Stage.BLOCKED, *_AGAIN),
    "block": (Stage.BUILDING, Stage.SUBMITTED),
    "unblock": (Stage.BLOCKED,),
    "review": (Stage.SUBMITTED, *_AGAIN),
    "actual": (Stage.SHIPPED, Stage.ARCHIVED),
    "archive": (Stage.SHIPPED,),
}
"""The stages of the tasks that a command is offered for."""


def _choices(words: type[StrEnum]) -> list[Picked]:
    return [Picked(name=word, value=word) for word in words]


class TaskCommands(app_commands.Group, name="task", description="The task board", guild_only=True):
    """The group; looking and bidding are private, what changes a task is public."""

    def __init__(self, settings: DiscordSettings, board: Board, registry: Registry, forms: TaskForms) -> None:
        super().__init__()
        self._settings, self._board, self._registry, self._forms = settings, board, registry, forms

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────

    @app_commands.command()
    async def show(self, interaction: discord.Interaction, task: str) -> None:
        """One task with everything that is known of it."""
        page = await self._board.show(actor_of(interaction, self._settings.roles), task)
        await answer(interaction, task_screens.task_page(page), ephemeral=True)

    @app_commands.command()
    @app_commands.describe(release="only what rides this train")
    @app_commands.choices(stage=_choices(Stage))
    async def list(
        self,
        interaction: discord.Interaction,
        stage: Picked | None = None,
        repository: str | None = None,
        builder: str | None = None,
        release: str | None = None,
        after: str | None = None,
    ) -> None:
        """The newest tasks, all or some."""
        wanted = TaskQuery(
            stage=Stage(stage.value) if stage else None,
            repository=repository,
            builder=builder,
            release=release,
            after=after,
            limit=task_screens.LIST_LENGTH,
        )
        await self._list(interaction, wanted)

    @app_commands.command()
    async def search(self, interaction: discord.Interaction, words: str, after: str | None = None) -> None:
        """Tasks by the words of their titles."""
        await self._list(interaction, TaskQuery(text=words, after=after, limit=task_screens.LIST_LENGTH))

    @app_commands.command()
    async def calibration(self, interaction: discord.Interaction) -> None:
        """How far the bids of PM, PO and Dev are from what tasks turned out to be."""
        await answer(interaction, task_screens.calibration(await self._board.calibration()), ephemeral=True)

    # ── making and changing ───────────────────────────────────────────────────────────────────────────────────────

    @app_commands.command()
    @app_commands.describe(
        repositories="with spaces between them; NAME=BRANCH where the branch is not feat/<slug>",
        depends_on="slugs of tasks that must ship with or before it",
        command="runs on the app after it was deployed",
    )
    @app_commands.choices(kind=_choices(TaskType))
    @app_commands.rename(kind="type")
    async def new(
        self,
        interaction: discord.Interaction,
        title: app_commands.Range[str, 1, TITLE_LIMIT],
        shape: str,
        repositories: str,
        kind: Picked | None = None,
        slug: str = "",
        depends_on: str = "",
        command: str = "",
        acceptance: str = "",
        tests: str = "",
    ) -> None:
        """Create a task."""
        wanted = draft(
            title=title,
            slug=slug,
            kind=kind.value if kind else TaskType.FEATURE,
            shape=shape,
            repositories=repositories.split(),
            depends_on=depends_on.split(),
            post_deploy_cmd=command,
            acceptance_criteria=acceptance,
            test_plan=tests,
        )
        await self._change(interaction, lambda actor: self._board.new(actor, wanted))

    @app_commands.command()
    @app_commands.describe(
        repositories="all of them, with spaces between; NAME=BRANCH where the branch is not feat/<slug>",
        risks="with spaces between them",
    )
    @app_commands.choices(kind=_choices(TaskType))
    @app_commands.rename(kind="type")
    async def edit(
        self,
        interaction: discord.Interaction,
        task: str,
        shape: str | None = None,
        kind: Picked | None = None,
        repositories: str | None = None,
        risks: str | None = None,
        worktree: str | None = None,
        local_url: str | None = None,
        qa_url: str | None = None,
        production_url: str | None = None,
    ) -> None:
        """Change a task: what is given here, or its texts in a form."""
        wanted = changes(
            task,
            kind=kind.value if kind else None,
            repositories=repositories.split() if repositories else None,
            risks=risks.split() if risks else None,
            shape=shape,
            worktree=worktree,
            local_url=local_url,
            qa_url=qa_url,
            production_url=production_url,
        )
        if wanted.given():
            await self._change(interaction, lambda actor: self._board.edit(actor, task, wanted))
        else:
            await self._forms.open(interaction, Button("", Act.EDIT, task))

    @app_commands.command()
    @app_commands.describe(remove="it does not any more")
    async def depend(self, interaction: discord.Interaction, task: str, on: str, remove: bool = False) -> None:
        """Say that a task ships with or after another one."""
        await self._change(interaction, lambda actor: self._board.depend(actor, task, on, remove))

    # ── from stage to stage ───────────────────────────────────────────────────────────────────────────────────────

    @app_commands.command()
    @app_commands.describe(reason="needed to block a task")
    async def move(self, interaction: discord.Interaction, task: str, stage: str, reason: str = "") -> None:
        """Move a task to its next stage."""
        await self._change(
            interaction, lambda actor: self._board.move(actor, task, known(Stage, "stage", stage), reason)
        )

    @app_commands.command()
    async def start(self, interaction: discord.Interaction, task: str) -> None:
        """Begin to build a task."""
        await self._change(interaction, lambda actor: self._board.start(actor, task))

    @app_commands.command()
    async def handoff(self, interaction: discord.Interaction, task: str) -> None:
        """Leave a task to the next one: what changed, what was verified, where to look first."""
        await self._forms.open(interaction, Button("", Act.HANDOFF, task))

    @app_commands.command()
    async def block(self, interaction: discord.Interaction, task: str, reason: Text) -> None:
        """Stop a task until something is out of its way."""
        await self._change(interaction, lambda actor: self._board.block(actor, task, reason))

    @app_commands.command()
    async def unblock(self, interaction: discord.Interaction, task: str) -> None:
        """Go on building a blocked task."""
        await self._change(interaction, lambda actor: self._board.unblock(actor, task))

    @app_commands.command()
    @app_commands.choices(seat=_choices(Seat), verdict=_choices(Verdict))
    async def review(self, interaction: discord.Interaction, task: str, seat: Picked, verdict: Picked) -> None:
        """Give a verdict on a task; findings go into the form."""
        await self._forms.open(interaction, Button("", Act.REVIEW, task, f"{seat.value}.{verdict.value}"))

    @app_commands.command()
    async def archive(self, interaction: discord.Interaction, task: str) -> None:
        """Put a shipped task away."""
        await self._change(interaction, lambda actor: self._board.archive(actor, task))

    # ── talking ───────────────────────────────────────────────────────────────────────────────────────────────────

    @app_commands.command()
    @app_commands.describe(clarification="it says what was meant")
    async def comment(
        self, interaction: discord.Interaction, task: str, text: Text, clarification: bool = False
    ) -> None:
        """Say something about a task."""
        await self._remark(interaction, lambda actor: self._board.comment(actor, task, text, clarification))

    @app_commands.command()
    async def feedback(self, interaction: discord.Interaction, task: str, text: Text) -> None:
        """Say what QA found; the task is not reviewed until a handoff answers it."""
        await self._remark(interaction, lambda actor: self._board.feedback(actor, task, text))

    @app_commands.command()
    @app_commands.describe(number="of the entry, as /task show says")
    async def resolve(self, interaction: discord.Interaction, task: str, number: int) -> None:
        """Take feedback as answered."""
        await self._remark(interaction, lambda actor: self._board.resolve(actor, task, number))

    # ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @app_commands.command()
    @app_commands.choices(bidder=_choices(Bidder), size=_choices(Size))
    async def size(self, interaction: discord.Interaction, task: str, bidder: Picked, size: Picked) -> None:
        """Bid for a task; sealed until PM, PO and Dev have bid."""
        actor = await acting(interaction, self._settings.roles, ephemeral=True)
        found = await self._board.bid(actor, task, Bidder(bidder.value), Size(size.value))
        await answer(interaction, task_screens.sizes(task, found), ephemeral=True)

    @app_commands.command()
    @app_commands.choices(size=_choices(Size))
    async def actual(self, interaction: discord.Interaction, task: str, size: Picked) -> None:
        """Say how big a shipped task was."""
        await self._change(interaction, lambda actor: self._board.actual(actor, task, Size(size.value)))

    # ── what is offered while somebody types ──────────────────────────────────────────────────────────────────────

    @show.autocomplete("task")
    @edit.autocomplete("task")
    @depend.autocomplete("task")
    @depend.autocomplete("on")
    @move.autocomplete("task")
    @start.autocomplete("task")
    @handoff.autocomplete("task")
    @block.autocomplete("task")
    @unblock.autocomplete("task")
    @review.autocomplete("task")
    @archive.autocomplete("task")
    @comment.autocomplete("task")
    @feedback.autocomplete("task")
    @resolve.autocomplete("task")
    @size.autocomplete("task")
    @actual.autocomplete("task")
    @list.autocomplete("after")
    async def _tasks(self, interaction: discord.Interaction, typed: str) -> Choices:
        where = _WHERE.get(interaction.command.name) if interaction.command else None
        return await suggested(self._board, typed, where)

    @new.autocomplete("depends_on")
    async def _dependencies(self, interaction: discord.Interaction, typed: str) -> Choices:
        before, last = last_word(typed)
        return await suggested(self._board, last, before=before)

    @new.autocomplete("repositories")
    @edit.autocomplete("repositories")
    async def _repositories(self, interaction: discord.Interaction, typed: str) -> Choices:
        before, last = last_word(typed)
        taken = before.split()
        return fitting(last, [(name, name) for name in self._registry.repositories if name not in taken], before)

    @list.autocomplete("repository")
    async def _repository(self, interaction: discord.Interaction, typed: str) -> Choices:
        return fitting(typed, [(name, name) for name in self._registry.repositories])

    @new.autocomplete("shape")
    @edit.autocomplete("shape")
    async def _shapes(self, interaction: discord.Interaction, typed: str) -> Choices:
        return fitting(typed, [(name, name) for name in self._board.shapes])

    @move.autocomplete("stage")
    async def _stages(self, interaction: discord.Interaction, typed: str) -> Choices:
        """What the task that is named already may be moved to by a word alone."""
        slug = interaction.namespace.task or ""
        found = [one for one in await self._board.suggest(slug, limit=1) if one.slug == slug]
        stages = [to for one in found for to in legal_moves(one.stage) if MOVES[one.stage, to].by is None]
        return fitting(typed, [(stage, stage) for stage in stages])

    async def _list(self, interaction: discord.Interaction, wanted: TaskQuery) -> None:
        await answer(interaction, task_screens.task_list(await self._board.list(wanted)), ephemeral=True)

    async def _change(self, interaction: discord.Interaction, change: Callable[[Actor], Awaitable[Task]]) -> None:
        task = await change(await acting(interaction, self._settings.roles))
        await answer(interaction, task_screens.changed(task))

    async def _remark(self, interaction: discord.Interaction, say: Callable[[Actor], Awaitable[Remark]]) -> None:
        remark = await say(await acting(interaction, self._settings.roles))
        await answer(interaction, task_screens.remarked(remark))


async def suggested(board: Board, typed: str, stages: tuple[Stage, ...] | None = None, before: str = "") -> Choices:
    """Tasks that fit what was typed, whatever stands `before` it."""
    found = await board.suggest(typed, stages, MOST)
    return offered([(one.slug, f"{one.slug} — {one.title}") for one in found], before)
