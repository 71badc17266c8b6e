"""Hearing of a child's end from the kernel, as Python does by itself since 3.12; 3.11 starts a thread for each one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import TypeVarTuple, Unpack

_Ts = TypeVarTuple("_Ts")


def hear_from_the_kernel() -> None:
    """Where the kernel tells, no thread waits for a child any more; may be called often."""
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        asyncio.set_child_watcher(_PidfdWatcher())  # pyright: ignore[reportDeprecated]


if sys.version_info < (3, 12):

    class _PidfdWatcher(asyncio.ThreadedChildWatcher):
        def add_child_handler(self, pid: int, callback: Callable[[int, int, Unpack[_Ts]], object], *args: *_Ts) -> None:
            try:
                place = os.pidfd_open(pid)
            except OSError:  # a sandbox may forbid it
                return super().add_child_handler(pid, callback, *args)
            loop = asyncio.get_running_loop()

            def ended() -> None:
                loop.remove_reader(place)
                os.close(place)
                callback(pid, _exit_code(pid), *args)

            loop.add_reader(place, ended)


def _exit_code(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # somebody asked before us; asyncio says 255 then
        return 255
