"""What it costs to believe the built files instead of the texts: reading them, beside the build that made them."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from adapters.credentials import Secrets
from adapters.ecosystems.pypi import PyPI, PyPISettings
from adapters.ecosystems.rubygems import RubyGems, RubyGemsSettings
from adapters.process import ChildProcesses
from adapters.web import Web
from core.ports import Ecosystem
from core.registry import Package
from tests.adapters.ecosystems.test_pypi import write_package
from tests.adapters.ecosystems.test_rubygems import write_gem
from tests.benchmarks.figures import Figure, figure


def built_files(folder: Path, *, modules: int = 300, runs: int = 20) -> list[Figure]:
    """A package of `modules` files of 4 KiB, once as a wheel with its sdist and, where there is Ruby, once as a gem."""
    processes = ChildProcesses(folder / "home", Secrets({}), os.environ)
    (folder / "home").mkdir(exist_ok=True)
    kinds: list[tuple[Ecosystem, Callable[[Path, str, str], None], str]] = [
        (PyPI(processes, Web(), PyPISettings()), write_package, "src/widgetry/{}.py"),
        (RubyGems(processes, Web(), RubyGemsSettings()), write_gem("widgetry"), "lib/widgetry/{}.rb"),
    ]
    return [
        asyncio.run(_read(folder / ecosystem.name, ecosystem, write, path, modules, runs))
        for ecosystem, write, path in kinds
        if all(processes.finds(tool) for tool in ecosystem.tools)
    ]


async def _read(
    folder: Path, ecosystem: Ecosystem, write: Callable[[Path, str, str], None], path: str, modules: int, runs: int
) -> Figure:
    """Milliseconds of one reading, in the middle of `runs`."""
    source, out = folder / "source", folder / "out"
    source.mkdir(parents=True)
    out.mkdir()
    write(source, "1.0.0", "body")
    for number in range(modules):
        lines = [f"# {number} {line} {os.urandom(8).hex()}\n" for line in range(140)]
        (source / path.format(f"m{number}")).write_text("".join(lines))
    package = Package(name="widgetry", url="", ecosystem=ecosystem.name)
    begun = perf_counter()
    artefacts = await ecosystem.build(package, source, out, epoch=1_700_000_000, log=folder / "log")
    build_seconds = perf_counter() - begun
    files, times = [out / one.filename for one in artefacts], list[float]()
    for _ in range(runs):
        begun = perf_counter()
        assert ecosystem.declared(package, files).version == "1.0.0"
        times.append((perf_counter() - begun) * 1000)
    size = sum(one.size for one in artefacts) / 1024
    name = f"reading what was built, {ecosystem.name}, {modules} files, {size:,.0f} KiB"
    return figure(name, statistics.median(times), "ms", bar=20, baseline=f"beside {build_seconds:.2f} s for its build")
