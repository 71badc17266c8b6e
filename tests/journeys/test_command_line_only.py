"""Two agents, two reviewers and an operator who have nothing but a shell: from new tasks to production."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.world.demo_trains import DemoJourney
from tests.world.stations import PROJECT, Depot, run

STORY = """
as() { STATIONMASTER_ACTOR=$1; export STATIONMASTER_ACTOR; shift; stationmaster "$@"; }
build() { # who, slug
  as "$1" task start "$2"
  as "$1" task handoff "$2" --changed "the page" --check "[integration] make test: green"
}
approve() { as rex task review "$1" heavy approve; as tess task review "$1" light approve; }

made="--shape script --acceptance shown --test-plan look"
as ada task new "The kiosk tells the news" --slug kiosk-news --repo kiosk=feat/kiosk-news $made
as ben task new "The kiosk shows its prices" --slug prices --repo kiosk=feat/kiosk-prices $made
build ada kiosk-news
as rex task review kiosk-news heavy request-changes --finding "major: old news"
as ada task unblock kiosk-news
as ada task handoff kiosk-news --changed "new news" --check "[integration] make test: green"
approve kiosk-news
build ben prices
approve prices

as olive release open r1 kiosk-news prices
as olive release assemble
as olive release prepare
if as olive release ship >plan; then exit 1; else test $? = 3; fi
as olive release ship --confirm "$(grep -oE '[0-9a-f]{10}' plan | head -n 1)"
as olive release status
as olive release notes
stationmaster deployments --json >live.json
"""


async def test_tasks_go_from_new_to_production_by_the_command_line_alone(
    depot: Depot[DemoJourney], tmp_path: Path
) -> None:
    async with depot.journey() as journey:
        await journey.git("kiosk", "checkout", "--quiet", "-b", "feat/kiosk-news", "origin/main")
        (journey.checkout("kiosk") / "news.txt").write_text("gold is up\n")
        await journey.git("kiosk", "add", "news.txt")
        await journey.git("kiosk", "commit", "--quiet", "--message", "Tell the news")
        await journey.git("kiosk", "push", "--quiet", "origin", "feat/kiosk-news")

        path = os.pathsep.join([str(Path(sys.executable).parent), journey.environ["PATH"]])
        env = {**journey.environ, "PATH": path, "PYTHONPATH": str(PROJECT)}
        said = await run("bash", "-euo", "pipefail", "-c", STORY, cwd=tmp_path, env=env)

        assert "prices would be ejected: it conflicts in kiosk" in said
        live = {one["app"]["name"]: one for one in json.loads((tmp_path / "live.json").read_text())}
        assert live["kiosk"]["release"] == "r1" and live["kiosk"]["seal"]["status"] == "green"
        assert [task.slug for task in (await journey.station.conductor.status("r1")).tasks] == ["kiosk-news"]
        journey.require_possible()
