"""The core is pure where it says so: parsed, not promised (design: who may know whom)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core"
FILES = sorted(path.relative_to(CORE).as_posix() for path in CORE.rglob("*.py"))

MAY_WAIT = {
    "access.py",
    "deliveries.py",
    "deployments.py",
    "doorkeeper.py",
    "ports.py",
    "records.py",
    "repositories.py",
    "train/answer.py",
    "train/branch.py",
    "train/consumer.py",
    "train/dispatcher.py",
    "train/ejecting.py",
    "train/engine.py",
    "train/building.py",
    "train/closure.py",
    "train/freeze.py",
    "train/logbook.py",
    "train/own_scripts.py",
    "train/proposal.py",
    "train/queue.py",
    "train/reviewed.py",
    "train/sightings.py",
    "train/step.py",
    "unforeseen.py",
} | {
    name
    for name in FILES
    if name.startswith(("train/steps/", "conductor/", "board/"))
    and name not in ("conductor/__init__.py", "board/__init__.py")
}
"""Where `async` is allowed; everything else only computes."""

OUTSIDE = {"os", "io", "time", "random", "secrets", "socket", "subprocess", "tempfile", "threading", "urllib"}
FOREIGN = {"bot", "adapters", "discord", "aiohttp", "sqlalchemy", "git", "yaml", "pydantic"}
MAY_TOUCH_FILES = {"ports.py", "repositories.py", "train/logbook.py", "train/building.py", "train/steps/repin.py"}
"""They name paths below the scratch folder and inside private worktrees."""


def parsed(name: str) -> ast.Module:
    return ast.parse((CORE / name).read_text())


def imports(name: str) -> Iterator[str]:
    """The first word of everything that the file imports, at whatever depth."""
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("name", FILES)
def test_the_core_knows_neither_faces_nor_adapters_nor_their_libraries(name: str) -> None:
    assert not FOREIGN & set(imports(name))


@pytest.mark.parametrize("name", FILES)
def test_the_core_reaches_for_nothing_outside_but_through_its_ports(name: str) -> None:
    assert not OUTSIDE & set(imports(name))
    assert not {"pathlib", "shutil"} & set(imports(name)) or name in MAY_TOUCH_FILES


@pytest.mark.parametrize("name", [name for name in FILES if name not in MAY_WAIT])
def test_what_is_pure_waits_for_nothing(name: str) -> None:
    asynchronous = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert "asyncio" not in imports(name)
    assert not [node.lineno for node in ast.walk(parsed(name)) if isinstance(node, asynchronous)]


@pytest.mark.parametrize("name", FILES)
def test_nobody_in_the_core_asks_the_time(name: str) -> None:
    """Time comes from the clock port, so that tests own it."""
    asked = [
        node.lineno
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today") and _is_the_calendar(node.value)
    ]
    assert not asked


def test_the_list_of_files_that_may_wait_names_only_files_that_do() -> None:
    waiting = {name for name in FILES if any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(parsed(name)))}
    assert waiting | {"train/steps/__init__.py"} == MAY_WAIT


def _is_the_calendar(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("datetime", "date")
