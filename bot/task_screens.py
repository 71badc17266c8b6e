"""What the bot shows of tasks: the page in pages, lists, sizes, and the forms that people fill in. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bot.message import FIELD_LIMIT, Act, Button, Colour, Field, Form, Message, card
from bot.task_sections import (
    NEXT,
    At,
    Code,
    Line,
    Name,
    Said,
    Section,
    calibration_lines,
    remark_line,
    sections,
    sizing_lines,
)
from bot.words_for_discord import code, day, listed, pieces, plain
from core.board import TaskList, TaskPage
from core.conversation import Remark
from core.sizing import Calibration, Sizing
from core.tasks import Task
from core.words import counted

LIST_LENGTH = 20
_PAGE_LIMIT = 3300
# Nobody turns more pages, and a beat of a ship must not wait while megabytes are made harmless.
_MOST_PAGES, _MOST_SAID = 60, 20_000
_TRACE = 6
_TEXTS = {
    "title": "Title",
    "acceptance_criteria": "Acceptance criteria",
    "test_plan": "Expected test plan",
    "agent_context": "Agent context",
    "post_deploy_cmd": "Post-deploy command",
}
_SHORT = ("title", "post_deploy_cmd")


def task_page(page: TaskPage, number: int = 1) -> Message:
    """Page `number` of everything that is known of a task, from 1; the nearest one where there is no such page."""
    slug = page.task.slug
    whole = _pages(sections(page))
    number = min(max(number, 1), len(whole))
    head = f"## {plain(page.task.title, 240)}\n{code(slug)}"
    turns = (("Earlier", number - 1), ("More", number + 1))
    return card(
        head + (f" · page {number} of {len(whole)}" if len(whole) > 1 else ""),
        *whole[number - 1],
        buttons=[Button(label, Act.PAGE, slug, str(to)) for label, to in turns if 1 <= to <= len(whole)],
    )


def task_list(found: TaskList) -> Message:
    """Newest first, how many there are, and how to see what is not shown (L28)."""
    rows = [f"• {plain(task.title, 100)} ({plain(task.slug, 48)}) — {task.stage}" for task in found.tasks]
    more = f"→ more: the same with `after:{found.next}`" if found.next else ""
    return card(f"## 🗂️ {counted(found.total, 'task')}, {len(rows)} shown", listed(rows, 3600), more)


def changed(task: Task, said: str = "") -> Message:
    """What became of a task, the word that goes with it, and what to do next."""
    next_ = NEXT.get(task.stage)
    head = f"✅ {plain(task.slug, 48)} is {task.stage}: {plain(task.title)}"
    return card(head, listed(pieces(said), 3200), f"→ `/{next_}`" if next_ else "", colour=Colour.GOOD)


def remarked(remark: Remark) -> Message:
    """An entry of the conversation, as it was just made or resolved."""
    head = f"💬 **{plain(remark.task, 48)}**"
    return card(head, listed(_rows([remark_line(remark)]), 3600))


def sizes(slug: str, found: Sizing) -> Message:
    """What whoever has just bid may see."""
    return card(f"⚖️ **{plain(slug, 48)}**", listed(_rows(sizing_lines(found)), 3600))


def calibration(found: Sequence[Calibration]) -> Message:
    """How far each bidder is off."""
    return card("## ⚖️ Calibration", listed(_rows(calibration_lines(found)), 3600))


def handoff_form(opener: Button) -> Form:
    """What one worker leaves for the next; five fields are all that Discord gives."""
    return Form(
        f"Hand off {opener.of}",
        opener,
        (
            Field(name="changed", label="What changed", is_needed=True),
            Field(name="verified", label="What was verified"),
            Field(name="look_first", label="What to look at first"),
            Field(name="checks", label="Checks, one per line", hint="[unit] pytest -q: 31 passed"),
            Field(
                name="reported",
                label="Model, tokens, cost",
                hint="opus-4 182000 3.40, - for what is not known",
                is_short=True,
            ),
        ),
    )


def review_form(opener: Button) -> Form:
    """Findings and a word beside a verdict."""
    return Form(
        f"{opener.mark.replace('.', ': ')} {opener.of}",
        opener,
        (
            Field(name="findings", label="Findings, one per line", hint="blocker: …   major: …   minor: …   nit: …"),
            Field(name="body", label="Anything else"),
        ),
    )


def edit_form(task: Task) -> Form:
    """The texts of a task. One that is longer than Discord's fields is left out, so that nothing of it gets lost."""
    texts = {name: str(getattr(task, name)) for name in _TEXTS}
    mark = f"{task.revision}.{''.join(map(_trace, texts.values()))}"
    fields = [
        Field(name=name, label=_TEXTS[name], value=text, is_short=name in _SHORT)
        for name, text in texts.items()
        if len(text) <= FIELD_LIMIT
    ]
    return Form(f"Edit {task.slug}", Button("", Act.EDIT, task.slug, mark), tuple(fields))


def touched(mark: str, typed: Mapping[str, str]) -> dict[str, str]:
    """Those texts of an edit form that whoever filled it in has changed: the others may be old by now."""
    traces = mark.partition(".")[2]
    shown = {name: traces[at : at + _TRACE] for name, at in zip(_TEXTS, itertools.count(0, _TRACE), strict=False)}
    return {name: text for name, text in typed.items() if _trace(text) != shown[name]}


def _trace(text: str) -> str:
    """A few characters that differ where the text differs."""
    return hashlib.sha256(text.strip().replace("\r\n", "\n").encode(errors="replace")).hexdigest()[:_TRACE]


def _pages(found: Iterable[Section]) -> list[list[str]]:
    """The blocks of each page; a section that does not fit goes on, under its title, on the next one."""
    pages, room = [dict[str, list[str]]()], _PAGE_LIMIT
    for section in found:
        title = f"**{section.title}**" if section.title else ""
        for row in _rows(section.lines):
            if len(title) + len(row) + 2 > room:
                if len(pages) == _MOST_PAGES:
                    pages[-1].setdefault("…", []).append("there is more: `stationmaster task show`")
                    return _blocks(pages)
                pages.append({})
                room = _PAGE_LIMIT
            room -= len(row) + 1 + (0 if title in pages[-1] else len(title) + 1)
            pages[-1].setdefault(title, []).append(row)
    return _blocks(pages)


def _blocks(pages: Iterable[Mapping[str, Sequence[str]]]) -> list[list[str]]:
    return [["\n".join([title, *rows]).strip() for title, rows in page.items()] for page in pages]


def _rows(lines: Iterable[Line]) -> Iterator[str]:
    """Each line as Discord shows it; long texts take several rows."""
    for line in lines:
        row = ""
        for piece in line:
            match piece:
                case str():
                    row += piece
                case Name(text):
                    row += plain(text, 60)
                case Code(text):
                    row += code(text, 200)
                case At(moment):
                    row += day(moment)
                case Said(text):
                    *whole, last = pieces(text[:_MOST_SAID]) or ["—"]
                    if (more := len(text) - _MOST_SAID) > 0:
                        whole, last = [*whole, last], f"… and {more} characters more: `stationmaster task show`"
                    for done in whole:
                        yield row + done
                        row = ""
                    row += last
        yield row
