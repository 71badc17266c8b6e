"""The use cases of the task board: every face calls these, and none decides anything itself.

One room for each: looking, what a task says, its moves, and what is said of it. Each asks for permission first.
"""

from __future__ import annotations

from core.board.desk import existing_task, moved, remarked
from core.board.looking import Looking, TaskList, TaskPage
from core.board.moving import Moving
from core.board.talking import Talking
from core.board.writing import Writing


class Board(Looking, Writing, Moving, Talking):
    """Tasks from idea to shipped."""


__all__ = ["Board", "TaskList", "TaskPage", "existing_task", "moved", "remarked"]
