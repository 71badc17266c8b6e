"""schemathesis reads the API's own document and tries what nobody would think of: it finds nothing.

Left out are the streams, which never end, and the revoking of tokens, which would end the test by its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bot.api.limits import Rate
from core.permissions import Role
from tests.world.api import DRAFT, serving
from tests.world.toy_train import draft

_SECONDS = 40
_EXAMPLES = 12


async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, rate=Rate(10**9, 10**9)) as service:
        everybody = await service.agent("everybody", *Role)
        await everybody.post("/v1/tasks", DRAFT)
        await service.station.prepared(draft("words", "docs"))
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {everybody.secret}", "--exclude-path-regex", "(/events|/revoke)$"),
            # One worker: Python 3.11 may not parse in two threads at once, which Hypothesis does.
            *("--max-examples", str(_EXAMPLES), "--seed", "1", "--generation-deterministic", "--workers", "1"),
            *("--generation-allow-x00", "false", "--warnings", "off", "--no-color", "--max-time", str(_SECONDS)),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()[-20_000:]
        assert (await everybody.get("/v1/me"))["name"] == "everybody"
