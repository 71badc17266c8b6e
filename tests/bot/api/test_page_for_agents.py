"""What docs/agents.md says of curl works as it is written there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.world.api import Agent

PAGE = Path(__file__).parents[3] / "docs" / "agents.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing: apt-get install curl")
async def test_an_agent_that_has_only_curl_hands_its_task_off(ada: Agent) -> None:
    [script] = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.S)
    script = script.replace('"calculation"', '"toy"').replace("treasury", "hub")  # what the toy train has
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        env={"PATH": os.environ["PATH"], "STATIONMASTER_URL": ada.url, "STATIONMASTER_TOKEN": ada.secret},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    page = await ada.get("/v1/tasks/cents")
    assert (page["task"]["stage"], page["task"]["test_plan"]) == ("submitted", "unit tests of every edge")
