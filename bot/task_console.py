"""What the command line says of tasks, as plain lines: the counterpart of `bot.task_screens`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from bot.release_console import one_line, when
from bot.task_sections import (
    NEXT,
    At,
    Code,
    Line,
    Name,
    Said,
    calibration_lines,
    remark_line,
    sections,
    sizing_lines,
)
from core.board import TaskList, TaskPage
from core.conversation import Remark
from core.sizing import Calibration, Sizing
from core.tasks import Task
from core.words import counted

Found = TaskPage | TaskList | Task | Remark | Sizing | tuple[Calibration, ...]


def told(found: Found) -> Iterator[str]:
    """Whatever the board gives back."""
    match found:
        case TaskPage():
            yield f"{found.task.slug}: {one_line(found.task.title)}"
            for section in sections(found):
                yield from [f"{section.title}:"] if section.title else []
                yield from _rows(section.lines)
        case TaskList():
            yield from (f"{task.slug:32} {task.stage:10} {one_line(task.title)}" for task in found.tasks)
            more = f"; more: --after {found.next}" if found.next else ""
            yield f"{counted(found.total, 'task')}, {len(found.tasks)} shown{more}"
        case Task():
            next_ = NEXT.get(found.stage)
            yield f"{found.slug} is {found.stage}" + (f"; next: {next_} {found.slug}" if next_ else "")
        case Remark():
            yield from _rows([remark_line(found)])
        case Sizing():
            yield from _rows(sizing_lines(found))
        case tuple():
            yield from _rows(calibration_lines(found))
        case _:
            assert_never(found)


def _rows(lines: Iterable[Line]) -> Iterator[str]:
    """Each line, indented; what goes on below it is indented more."""
    for line in lines:
        first, *more = [one_line(row) for row in "".join(map(_piece, line)).splitlines()]
        yield f"  {first}"
        yield from (f"    {row}" for row in more if row)


def _piece(piece: str | Said | Name | Code | At) -> str:
    match piece:
        case str():
            return piece
        case At(moment):
            return when(moment)
        case Name(text) | Code(text):
            return one_line(text)
        case Said(text):
            return "\n".join(text.splitlines())
        case _:
            assert_never(piece)
