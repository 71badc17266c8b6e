"""Processes of the demo's platform: commands that end and web processes that stay, in groups that die with us."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

_BOOT_SECONDS = 60
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Dyno:
    """A web process and the place that it was told to listen on, which is kept free of others while it lives."""

    def __init__(self, process: Process, port: int, place: socket.socket) -> None:
        self._process, self.port, self._place = process, port, place

    async def boots(self) -> bool:
        """True once it accepts connections, False when it ended or took too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BOOT_SECONDS):
                while self._process.returncode is None:
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                        writer.close()
                        return True
                    await asyncio.sleep(0.01)
        return False

    async def end(self) -> None:
        """Kill the process with its children."""
        await _end(self._process)
        self._place.close()


def procfile(slug: Path) -> dict[str, str]:
    """Process type → command, of the tree in `slug`."""
    path = slug / "Procfile"
    return dict(re.findall(r"^([\w-]+):\s*(.+?)\s*$", path.read_text() if path.exists() else "", re.MULTILINE))


async def boot(command: str, slug: Path, env: Mapping[str, str], log: Path) -> Dyno:
    """Start a web process on a free port, named in PORT. Whether it boots is another question."""
    with log.open("ab") as output, ExitStack() as unless_started:
        place = unless_started.enter_context(socket.socket())
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # who listens there says the same, as servers do
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        if not _libc:
            place.close()  # elsewhere than on Linux nobody could listen there
        dyno = Dyno(await _spawn(command, slug, {**env, "PORT": str(port)}, output.fileno()), port, place)
        unless_started.pop_all()
    return dyno


async def finish(command: str, slug: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end: exit code, and both streams as one text."""
    process = await _spawn(command, slug, env, PIPE)
    try:
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    """Kill the whole group and wait for its leader."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _spawn(command: str, slug: Path, env: Mapping[str, str], output: int) -> Process:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return await asyncio.create_subprocess_exec(
        *("sh", "-c", command),
        cwd=slug,
        env={"PATH": path, "HOME": str(slug), "LANG": "C.UTF-8", **env},
        stdin=DEVNULL,
        stdout=output,
        stderr=STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent if _libc else None,
    )


def _die_with_parent() -> None:
    assert _libc
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; survives the shell's exec of the command
