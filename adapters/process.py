"""The one door to child processes: argv lists only, own group, deadline, allow-listed environment, masked output.

A child dies with us where the kernel can see to it, and its whole group dies at the deadline (L06).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from adapters.credentials import Secrets
from core.errors import StepFailed, Unreachable
from core.ports import Finished
from core.registry import Argv

# What a child may know of our environment (L08); credentials come on top, by name, where that child needs them.
ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK", "TMPDIR")
_KEPT = 64 * 1024  # characters of each stream that are kept for classifying; the log has everything
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildProcesses:
    """Runs programs. `home` is the HOME of every child, never a person's; `base` is the environment we were given."""

    def __init__(
        self, home: Path, secrets: Secrets, base: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> None:
        self._secrets = secrets
        self._env = {name: base[name] for name in ALLOWED if name in base}
        self._env |= {
            "HOME": str(home),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "NO_COLOR": "1",
            "CI": "1",
        }
        self._env |= {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=20", "DISABLE_TELEMETRY": "true"}
        self._env |= dict(extra or {})
        self.on_spawn: Callable[[Argv], None] = lambda argv: None

    async def run(
        self,
        argv: Argv,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        credentials: Sequence[str] = (),
        timeout_seconds: float = 600,
        log: Path | None = None,
        stdin: bytes = b"",
    ) -> Finished:
        """Run to the end; see `core.ports.Processes`."""
        known = {name: self._secrets.reveal(name) for name in credentials if self._secrets.has(name)}
        try:
            child = await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env={**self._env, **(env or {}), **known},
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                preexec_fn=_die_with_parent if _libc else None,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise Unreachable(
                f"{argv[0]} cannot be run", str(error), f"install {argv[0]} where stationmaster runs"
            ) from error
        self.on_spawn(argv)
        return await self._follow(child, argv, timeout_seconds, log, stdin)

    async def _follow(
        self, child: asyncio.subprocess.Process, argv: Argv, timeout_seconds: float, log: Path | None, stdin: bytes
    ) -> Finished:
        file = _opened(log)
        out, err = _Capture(self._secrets, file), _Capture(self._secrets, file)
        assert child.stdout and child.stderr
        try:
            async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as group:
                group.create_task(out.drain(child.stdout))
                group.create_task(err.drain(child.stderr))
                group.create_task(_feed(child, stdin))
                group.create_task(child.wait())
        except TimeoutError as error:
            why = f"it was still running after {timeout_seconds:g} s and was killed"
            raise StepFailed(f"{argv[0]} did not end", why, "look at its log, then resume") from error
        finally:
            await _kill_group(child)
            if file:
                file.close()
        return Finished(child.returncode or 0, out.text, err.text)


class _Capture:
    """One stream of a child: everything masked into the log, the last `_KEPT` characters kept."""

    def __init__(self, secrets: Secrets, file: BinaryIO | None) -> None:
        self._secrets, self._file = secrets, file
        self.text = ""

    async def drain(self, stream: asyncio.StreamReader) -> None:
        """Read to the end. Held back is what could be the beginning of a secret that ends in the next piece."""
        held = ""
        while piece := await stream.read(64 * 1024):
            held = self._secrets.mask(held + piece.decode(errors="replace"))
            cut = len(held) - self._secrets.longest
            newline = held.rfind("\n", 0, max(cut, 0)) + 1
            self._keep(held[:newline])
            held = held[newline:]
            if len(held) > _KEPT:
                self._keep(held[:cut])
                held = held[cut:]
        self._keep(held)

    def _keep(self, text: str) -> None:
        if text:
            self.text = (self.text + text)[-_KEPT:]
            if self._file:
                self._file.write(text.encode())


def _opened(log: Path | None) -> BinaryIO | None:
    if log is None:
        return None
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab", buffering=0)


async def _feed(child: asyncio.subprocess.Process, stdin: bytes) -> None:
    if child.stdin and stdin:
        with suppress(BrokenPipeError, ConnectionResetError):  # it did not want to hear; its exit code says more
            child.stdin.write(stdin)
            await child.stdin.drain()
        child.stdin.close()


async def _kill_group(child: asyncio.subprocess.Process) -> None:
    """End whatever the child left behind: its group is named after it, so this can hit nobody else (L07)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    if child.returncode is None:
        await asyncio.shield(child.wait())


def _die_with_parent() -> None:
    assert _libc
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
