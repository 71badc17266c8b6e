"""The one door to child processes: argv lists only, own group, deadline, allow-listed environment, masked output.

A child dies with its whole group: at the deadline (L06), and when we are gone (`adapters/last_will.py`).
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Unpack

from adapters.child_ends import hear_from_the_kernel
from adapters.credentials import Secrets
from adapters.last_will import dying_with_us
from core.errors import StepFailed, Unreachable
from core.ports import Finished, How
from core.registry import Argv

# What a child may know of our environment (L08); credentials come on top, by name, where that child needs them.
ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK", "TMPDIR")
_KEPT = 64 * 1024  # characters of each stream that are kept for classifying; the log has everything
_XDG = {"CONFIG": ".config", "CACHE": ".cache", "DATA": ".local/share", "STATE": ".local/state"}
_UMASK = 0o022  # what is packed can be read by whoever installs it, however private our own folder is
_LAST_WORDS_SECONDS = 2.0  # for what a child left behind when it ended, before it is killed
_DYING_SECONDS = 1.0  # between the kill and the end of every pipe
_logger = logging.getLogger(__name__)


class ChildProcesses:
    """Runs programs, each in an empty home below `homes`, which is gone afterwards: what repository code leaves in the
    dot files and caches of tools is seen by nobody. A variable may be a path below it: `~/…`. `base` is the environment
    we were given.
    """

    def __init__(
        self, homes: Path, secrets: Secrets, base: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> None:
        self._homes, self._secrets = homes, secrets
        self._env = {name: base[name] for name in ALLOWED if name in base}
        # What is installed beside us (uv) is found, after what the machine has.
        self._env["PATH"] = os.pathsep.join([base.get("PATH", os.defpath), str(Path(sys.executable).parent)])
        self._env |= {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "NO_COLOR": "1",
            "CI": "1",
        }
        self._env |= {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=20", "DISABLE_TELEMETRY": "true"}
        self._env |= dict(extra or {})
        self.on_spawn: Callable[[Argv], None] = lambda argv: None
        hear_from_the_kernel()

    def finds(self, program: str) -> bool:
        return shutil.which(program, path=self._env["PATH"]) is not None

    async def run(self, argv: Argv, *, cwd: Path | None = None, **how: Unpack[How]) -> Finished:
        async with AsyncExitStack() as stack:
            env = dict(how.get("env", {}))
            if "HOME" not in env:
                own = await stack.enter_async_context(_home_below(self._homes))
                env = {name: re.sub("^~/", f"{own['HOME']}/", value) for name, value in env.items()} | own
            file = stack.enter_context(_opened(log)) if (log := how.get("log")) else None
            return await self._run(argv, cwd, env, file, how)

    async def _run(
        self, argv: Argv, cwd: Path | None, env: Mapping[str, str], file: BinaryIO | None, how: How
    ) -> Finished:
        known = {name: self._secrets.reveal(name) for name in how.get("credentials", ()) if self._secrets.has(name)}
        child, stdin = _Child(_Capture(self._secrets, file), _Capture(self._secrets, file)), how.get("stdin", b"")
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: child,
                *argv,
                cwd=cwd,
                env={**self._env, **env, **known},
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a group of its own, which is killed whole (L06)
                umask=_UMASK,
            )
        except OSError as error:
            raise _not_started(argv, cwd, error) from error
        with dying_with_us(transport.get_pid()):
            self.on_spawn(argv)
            exit_code = await _follow(child, transport, argv, how.get("timeout_seconds", 600), stdin)
        return Finished(exit_code, child.out.text, child.err.text)


@asynccontextmanager
async def _home_below(folder: Path) -> AsyncGenerator[dict[str, str]]:
    """A home for one child: nothing is in it, and whatever it leaves there goes with it."""
    folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=folder, prefix=f"{os.getpid()}-"))
    places = {f"XDG_{kind}_HOME": home / place for kind, place in _XDG.items()} | {"TMPDIR": home / "tmp"}
    (home / "tmp").mkdir()
    try:
        yield {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "tmp"), **{k: str(at) for k, at in places.items()}}
    finally:
        await asyncio.shield(asyncio.to_thread(_forget, home))


def _forget(folder: Path) -> None:
    """Remove `folder`, also when parts of it were made read-only."""

    def again(remove: Callable[[str], object], path: str, error: object) -> None:
        with suppress(OSError):
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            remove(path)

    shutil.rmtree(folder, onerror=again)


class _Child(asyncio.SubprocessProtocol):
    """What the event loop tells us of a child: its output, its end, and the end of everyone who held its pipes."""

    def __init__(self, out: _Capture, err: _Capture) -> None:
        self.out, self.err = out, err
        self.exited, self.closed = asyncio.Event(), asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.out if fd == 1 else self.err).take(data)

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


class _Capture:
    """One stream of a child: everything masked into the log, the last `_KEPT` characters kept."""

    def __init__(self, secrets: Secrets, file: BinaryIO | None) -> None:
        self._secrets, self._file = secrets, file
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self.text = ""

    def take(self, data: bytes, final: bool = False) -> None:
        """Add `data`. Held back is an unfinished line: it could end in the first half of a secret."""
        text = self._held + self._decode(data, final)
        end = len(text) if final else text.rfind("\n") + 1
        if len(text) - end > _KEPT:
            end = self._secrets.boundary(text)
        self._held = text[end:]
        self._keep(self._secrets.mask(text[:end]))

    def _keep(self, text: str) -> None:
        self.text = (self.text + text)[-_KEPT:]
        if self._file and text:
            try:
                self._file.write(text.encode(errors="replace"))
            except OSError:  # a full disk must not fail what the child does (L31)
                _logger.exception("a log cannot be written", extra={"action": "log"})
                self._file = None


async def _follow(
    child: _Child, transport: asyncio.SubprocessTransport, argv: Argv, timeout_seconds: float, stdin: bytes
) -> int:
    """Wait for the end, which is the child's own: whoever it left behind gets a moment, then dies with its group."""
    try:
        if pipe := transport.get_pipe_transport(0):
            assert isinstance(pipe, asyncio.WriteTransport)
            pipe.write(stdin)
            pipe.close()
        async with asyncio.timeout(timeout_seconds):
            await child.exited.wait()
        await _within(_LAST_WORDS_SECONDS, child.closed)
    except TimeoutError as error:
        why = f"it was still running after {timeout_seconds:g} s and was killed"
        raise StepFailed(f"{argv[0]} did not end", why, "look at its log, then resume") from error
    finally:
        # The group is named after the child, and no stranger gets that name while one member lives (L07).
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        await _within(_DYING_SECONDS, child.closed)
        transport.close()  # lets go of a pipe that somebody in a group of his own still holds
        await _within(_DYING_SECONDS, child.closed)
        for stream in (child.out, child.err):
            stream.take(b"", final=True)
    return transport.get_returncode() or 0


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _opened(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab", buffering=0)


def _not_started(argv: Argv, cwd: Path | None, error: OSError) -> Unreachable:
    if cwd and not cwd.is_dir():
        return Unreachable(f"{argv[0]} cannot be run", f"the folder {cwd} is not there", "resume: it is made again")
    if isinstance(error, FileNotFoundError):
        why = "it is not on the PATH, or what it is written in is missing"
        return Unreachable(f"{argv[0]} cannot be run", why, f"install {argv[0]} where stationmaster runs")
    return Unreachable(f"{argv[0]} cannot be run", str(error), f"see that {argv[0]} is a program that may be run")
