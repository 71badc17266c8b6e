"""What a release list says that an app runs: the platform's word, where the app has none."""

from __future__ import annotations

import pytest

from adapters.deploys.heroku_releases import Release, verdict
from core.registry import Sha

NEW, OLD = Sha("a1b2c3d4" + "0" * 32), Sha("99887766" + "0" * 32)
FIRST = Release(1, description=f"Deploy {OLD[:8]}")


def deploy(version: int, commit: Sha, status: str = "succeeded", *, current: bool = False) -> Release:
    return Release(version, status, f"Deploy {commit[:8]}", current)


@pytest.mark.parametrize(
    ("releases", "state"),
    [
        ([deploy(2, NEW, current=True), FIRST], "runs"),
        ([FIRST, deploy(2, NEW, current=True)], "runs"),
        ([deploy(2, NEW), FIRST], "runs"),
        ([deploy(2, NEW, "failed"), deploy(1, OLD, current=True)], "failed"),
        ([deploy(2, NEW, "pending"), deploy(1, OLD, current=True)], "pending"),
        ([deploy(1, OLD, current=True)], "another runs"),
        ([], "another runs"),
        ([Release(3, description="Set STAGE config vars", current=True), deploy(2, NEW), FIRST], "runs"),
        (
            [Release(3, description="Set STAGE config vars", current=True), deploy(2, NEW, "failed"), FIRST],
            "another runs",
        ),
        ([Release(3, description="Rollback to v1", current=True), deploy(2, NEW), FIRST], "another runs"),
        ([Release(4, description="Rollback to v2", current=True), deploy(3, OLD), deploy(2, NEW)], "runs"),
        ([Release(3, description="Retry of v2", current=True), deploy(2, NEW, "failed"), FIRST], "runs"),
        ([Release(3, "failed", "Retry of v2"), deploy(2, NEW, "failed"), deploy(1, OLD, current=True)], "failed"),
        ([Release(7, description="Rollback to v2", current=True)], "unknown"),
        ([Release(7, description="Set STAGE config vars", current=True)], "unknown"),
        ([Release(7, description="Promote acme-staging v9", current=True)], "unknown"),
        ([deploy(3, OLD, "failed"), deploy(2, NEW, current=True)], "runs"),
    ],
)
def test_the_list_of_releases_tells_what_runs(releases: list[Release], state: str) -> None:
    assert verdict(releases, NEW).state == state
