"""The door to child processes, with real children."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from adapters.credentials import MASK, Secrets
from adapters.process import ChildProcesses
from core.errors import StepFailed, Unreachable
from core.registry import Argv
from tests.world.waiting import until

DRAINED = """
import array, fcntl, os, sys, termios
def drained():
    left = array.array("i", [1])
    while left[0]:
        os.sched_yield(), fcntl.ioctl(1, termios.FIONREAD, left)
"""
"""For a child: wait until all that it wrote was taken out of the pipe."""
TOKEN = "s3cr3t-t0ken-of-the-registry"


def door(home: Path, secrets: dict[str, str] | None = None, base: dict[str, str] | None = None) -> ChildProcesses:
    return ChildProcesses(home, Secrets(secrets or {}), {"PATH": os.environ["PATH"], **(base or {})})


def python(code: str, *arguments: str) -> Argv:
    return (sys.executable, "-c", code, *arguments)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_gone(pid: int) -> None:
    await until(lambda: not is_alive(pid))


async def test_both_streams_and_the_exit_code_come_back(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = await door(tmp_path).run(python(code))
    assert (done.exit_code, done.stdout, done.stderr) == (3, "out\n", "err\n")


async def test_standard_input_arrives_whole(tmp_path: Path) -> None:
    text = b"x" * 3_000_000
    done = await door(tmp_path).run(python("import sys; print(len(sys.stdin.buffer.read()))"), stdin=text)
    assert done.stdout == "3000000\n"


async def test_a_child_that_does_not_listen_is_no_trouble(tmp_path: Path) -> None:
    assert (await door(tmp_path).run(("true",), stdin=b"x" * 3_000_000)).exit_code == 0


GRANDPARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
signal.pause()
"""


async def test_a_deadline_of_a_second_takes_a_second_and_leaves_no_orphan(tmp_path: Path) -> None:
    log, began = tmp_path / "log", time.monotonic()
    with pytest.raises(StepFailed, match="still running after 1 s"):
        await door(tmp_path).run(python(GRANDPARENT), timeout_seconds=1, log=log)
    assert time.monotonic() - began < 2
    await until_gone(int(log.read_text()))


async def test_the_last_words_before_the_deadline_are_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import signal; print('half a line', end='', flush=True); signal.pause()"
    with pytest.raises(StepFailed):
        await door(tmp_path).run(python(code), timeout_seconds=1, log=log)
    assert log.read_text() == "half a line"


async def test_a_daemon_that_keeps_our_pipes_cannot_stretch_the_deadline(tmp_path: Path) -> None:
    """It has a session of its own, so killing the group misses it."""
    log, began = tmp_path / "log", time.monotonic()
    code = (
        "import signal, subprocess; print(subprocess.Popen(['setsid', 'sleep', '600']).pid, flush=True); signal.pause()"
    )
    with pytest.raises(StepFailed):
        await door(tmp_path).run(python(code), timeout_seconds=1, log=log)
    assert time.monotonic() - began < 4
    os.kill(int(log.read_text()), signal.SIGKILL)


async def test_a_child_that_ended_is_not_waited_for_because_of_what_it_left_behind(tmp_path: Path) -> None:
    done = await door(tmp_path).run(("sh", "-c", "sleep 600 & echo $!"), timeout_seconds=60)
    assert done.exit_code == 0
    await until_gone(int(done.stdout))


async def test_output_of_a_tee_that_outlives_its_script_is_kept(tmp_path: Path) -> None:
    done = await door(tmp_path).run(("bash", "-c", "exec > >(sleep 0.3; cat); echo late"))
    assert done.stdout == "late\n"


async def test_a_cancelled_run_leaves_nothing_behind(tmp_path: Path) -> None:
    log = tmp_path / "log"
    task = asyncio.create_task(door(tmp_path).run(python(GRANDPARENT), log=log))
    await until(lambda: log.exists() and log.read_text().endswith("\n"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_gone(int(log.read_text()))


async def test_our_environment_does_not_leak_into_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    base = {"LANG": "C.UTF-8", "GIT_DIR": "/elsewhere", "DATABASE_URL": "postgres://", "VIRTUAL_ENV": "/venv"}
    run = door(tmp_path, {"TOKEN": TOKEN, "OTHER": "not-for-this-child"}, base).run
    code = "import json, os; print(json.dumps({k: v[::-1] for k, v in os.environ.items()}))"
    done = await run(python(code), env={"APP": "hub"}, credentials=("TOKEN", "UNSET"))
    seen = {name: value[::-1] for name, value in json.loads(done.stdout).items()}
    assert Path(seen["HOME"]).parent == tmp_path
    assert (seen["LANG"], seen["APP"], seen["TOKEN"]) == ("C.UTF-8", "hub", TOKEN)
    assert not seen.keys() & {"GIT_DIR", "DATABASE_URL", "VIRTUAL_ENV", "OTHER", "UNSET"}


async def test_what_a_child_leaves_in_its_home_is_seen_by_nobody(tmp_path: Path) -> None:
    """Repository code wrote ~/.gitconfig, and the next build read it."""
    run = door(tmp_path / "homes").run
    places = "$HOME $XDG_CONFIG_HOME $XDG_CACHE_HOME $XDG_DATA_HOME $XDG_STATE_HOME $XDG_RUNTIME_DIR $TMPDIR"
    leave = f"for at in {places}; do mkdir -p $at/x && echo evil > $at/x/y; done; chmod -R a-w $HOME; echo {places}"
    left = (await run(("sh", "-ec", leave))).stdout.split()
    assert len(left) == 7 and not any(Path(place).exists() for place in left)
    found = await run(("sh", "-c", f"find {places} -type f -not -path /proc"))
    assert found.stdout == ""
    assert not list((tmp_path / "homes").iterdir())


async def test_a_variable_may_be_a_path_in_the_home_of_the_child(tmp_path: Path) -> None:
    done = await door(tmp_path).run(
        ("sh", "-c", 'echo "$A"; echo "$B"; echo "$HOME"'), env={"A": "~/gems", "B": "x~/y"}
    )
    a, b, home = done.stdout.split()
    assert (a, b) == (f"{home}/gems", "x~/y")


async def test_a_secret_is_masked_in_both_streams_and_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print('a', os.environ['TOKEN']); print(os.environ['TOKEN'], file=sys.stderr)"
    done = await door(tmp_path, {"TOKEN": TOKEN}).run(python(code), credentials=("TOKEN",), log=log)
    assert (done.stdout, done.stderr) == (f"a {MASK}\n", f"{MASK}\n")
    assert TOKEN not in log.read_text()


@pytest.mark.parametrize("filler", [0, 65_536 - 10, 65_536, 300_000])
async def test_a_secret_that_comes_in_two_pieces_is_masked(tmp_path: Path, filler: int) -> None:
    """Also behind more text than is held back, without any line end, and when a shorter secret is its beginning."""
    log = tmp_path / "log"
    code = f"""{DRAINED}
token, filler = os.environ["TOKEN"], int(sys.argv[1])
for piece in ("x" * filler + token[:9], token[9:] + "y" * filler, token[:14], token[14:]):
    sys.stdout.write(piece); sys.stdout.flush(); drained()
"""
    run = door(tmp_path, {"TOKEN": TOKEN, "SHORT": TOKEN[:8]}).run
    done = await run(python(code, str(filler)), credentials=("TOKEN",), log=log)
    assert log.read_text() == "x" * filler + MASK + "y" * filler + MASK
    assert done.stdout == log.read_text()[-65_536:]


async def test_letters_of_more_than_one_byte_survive_a_cut_between_reads(tmp_path: Path) -> None:
    code = f"{DRAINED}os.write(1, b'\\xc3'); drained(); os.write(1, b'\\xa9\\xff\\n')"
    assert (await door(tmp_path).run(python(code))).stdout == "é\ufffd\n"


async def test_a_long_log_is_complete_and_memory_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "print('\\n'.join(f'line {i} of a test run that has much to say' for i in range(200_000)))"
    tracemalloc.start()
    done = await door(tmp_path).run(python(code), log=log)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000 < log.stat().st_size
    assert [line.split()[1] for line in log.read_text().splitlines()] == [str(i) for i in range(200_000)]
    assert len(done.stdout) == 65_536 and done.stdout.endswith("line 199999 of a test run that has much to say\n")


async def test_a_log_on_a_full_disk_does_not_fail_the_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = await door(tmp_path).run(("echo", "fine"), log=Path("/dev/full"))
    assert done.stdout == "fine\n"
    assert "log cannot be written" in caplog.text


async def test_a_missing_program_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        await door(tmp_path).run(("no-such-program",))
    assert caught.value.reasons[0].next == "install no-such-program where stationmaster runs"


async def test_a_missing_folder_is_not_called_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"the folder .* is not there"):
        await door(tmp_path).run(("true",), cwd=tmp_path / "gone")


async def test_a_script_without_its_first_line_is_no_crash(tmp_path: Path) -> None:
    script = tmp_path / "deploy"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    with pytest.raises(Unreachable, match="Exec format error"):
        await door(tmp_path).run((str(script),))


async def test_a_child_that_was_killed_did_not_succeed(tmp_path: Path) -> None:
    assert (await door(tmp_path).run(("sh", "-c", "kill -9 $$"))).exit_code == -9


PARENT = """
import asyncio, os, sys
from pathlib import Path
from adapters.credentials import Secrets
from adapters.process import ChildProcesses
processes = ChildProcesses(Path(sys.argv[1]), Secrets({}), os.environ)
processes.on_spawn = lambda argv: Path(sys.argv[3]).touch()
asyncio.run(processes.run(("sh", "-c", "sleep 600 & echo $$ $!; exec sleep 600"), log=Path(sys.argv[2])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who lives")
async def test_a_child_and_its_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    log, spawned = tmp_path / "log", tmp_path / "spawned"
    with subprocess.Popen(python(PARENT, *map(str, (tmp_path, log, spawned))), start_new_session=True) as parent:
        await until(lambda: spawned.exists() and log.exists() and log.read_text())
        child, grandchild = map(int, log.read_text().split())
        assert is_alive(child) and is_alive(grandchild)
        parent.kill()
    await until_gone(child)
    await until_gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who lives")
async def test_whoever_kills_the_shell_that_waits_for_our_end_stops_no_train(tmp_path: Path) -> None:
    await door(tmp_path).run(("true",))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    shells = [int(pid) for pid in children if b"living=" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(shells) == 1
    os.kill(shells[0], signal.SIGKILL)
    await until_gone(shells[0])
    assert (await door(tmp_path).run(("true",))).exit_code == 0


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of a child's end without a thread")
async def test_a_child_costs_no_thread(tmp_path: Path) -> None:
    processes, names = door(tmp_path), list[str]()
    processes.on_spawn = lambda argv: names.extend(thread.name for thread in threading.enumerate())
    assert (await processes.run(("sh", "-c", "exit 3"))).exit_code == 3
    assert not [name for name in names if "waitpid" in name]


def test_secrets_are_never_shown() -> None:
    secrets = Secrets({"TOKEN": TOKEN, "EMPTY": "", "BLANK": " \n"})
    assert repr(secrets) == f"Secrets(TOKEN={MASK})"
    assert [secrets.has(name) for name in ("TOKEN", "EMPTY", "BLANK", "UNSET")] == [True, False, False, False]


def test_a_secret_with_a_line_end_behind_it_is_masked_without_it() -> None:
    assert Secrets({"TOKEN": f"{TOKEN}\n"}).mask(f"token={TOKEN}&x=1") == f"token={MASK}&x=1"


def test_a_key_of_many_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----\n"
    assert Secrets({"KEY": key}).mask("remote: MIIEvQIBADANBgkq\r\n") == f"remote: {MASK}\r\n"
