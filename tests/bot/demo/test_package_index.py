"""The loopback package index keeps its word: across a power cut, and about what can be true."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bot.demo.package_index import PackageIndex

SERVE = """
import asyncio, sys
from pathlib import Path
from bot.demo.package_index import PackageIndex

async def main():
    async with PackageIndex(Path(sys.argv[1])) as index:
        print(index.publish_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def upload(url: str, name: str, version: str, body: bytes = b"bytes", requires: tuple[str, ...] = ()) -> int:
    """POST one sdist as uv does; returns the status."""
    form = aiohttp.FormData({"name": name, "version": version, "sha256_digest": hashlib.sha256(body).hexdigest()})
    for requirement in requires:
        form.add_field("requires_dist", requirement)
    form.add_field("content", body, filename=f"{name}-{version}.tar.gz")
    headers = {"Authorization": aiohttp.encode_basic_auth("__token__", "pypi-loopback")}
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, data=form) as answer:
        return answer.status


async def page(index: PackageIndex, name: str) -> str:
    """The Simple API's page of `name`, "" for 404."""
    async with aiohttp.ClientSession() as session, session.get(f"{index.simple_url}{name}/") as answer:
        return await answer.text() if answer.status == 200 else ""


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[PackageIndex]:
    """An index to which `widgetry` and `gadget` belong."""
    async with PackageIndex(tmp_path, expected={"widgetry", "gadget"}) as index:
        yield index


async def test_what_was_answered_survives_a_kill(tmp_path: Path):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(tmp_path), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert child.stdout
    try:
        async with asyncio.timeout(20):
            url = (await child.stdout.readline()).decode().strip()
            assert await upload(url, "widgetry", "1.0.0") == 200
    finally:
        child.kill()
        await child.wait()
    async with PackageIndex(tmp_path) as index:
        assert "widgetry-1.0.0.tar.gz" in await page(index, "widgetry")
        assert await upload(index.publish_url, "widgetry", "1.0.0") == 200
        assert await upload(index.publish_url, "widgetry", "1.0.0", b"other") == 400


async def test_a_deleted_file_name_is_used_up_for_ever(index: PackageIndex, tmp_path: Path):
    assert await upload(index.publish_url, "widgetry", "1.0.0") == 200
    index.delete("widgetry", "1.0.0")
    assert await upload(index.publish_url, "widgetry", "1.0.0") == 400
    async with PackageIndex(tmp_path) as again:
        assert await upload(again.publish_url, "widgetry", "1.0.0") == 400


@pytest.mark.parametrize("requirement", ["widgetry", "Widgetry>=1", "widgetry==1.0.0; python_version > '3'"])
async def test_a_package_cannot_go_before_its_dependency(index: PackageIndex, requirement: str):
    assert await upload(index.publish_url, "gadget", "1.0.0", requires=(requirement,)) == 400
    assert await upload(index.publish_url, "widgetry", "1.0.0") == 200
    assert await upload(index.publish_url, "gadget", "1.0.0", requires=(requirement,)) == 200
    assert index.violations == []


async def test_a_dependency_that_nobody_can_see_yet_does_not_count(index: PackageIndex):
    index.index_delay_seconds = 60
    assert await upload(index.publish_url, "widgetry", "1.0.0") == 200
    assert await upload(index.publish_url, "gadget", "1.0.0", requires=("widgetry",)) == 400


@pytest.mark.parametrize("requirement", ["requests", "widgetry; extra == 'fast'", "widgetry; python_version < '3'"])
async def test_what_is_not_ours_or_not_needed_here_is_not_asked_for(index: PackageIndex, requirement: str):
    assert await upload(index.publish_url, "gadget", "1.0.0", requires=(requirement,)) == 200


async def test_the_sampler_sees_a_package_lose_its_dependency(index: PackageIndex):
    await upload(index.publish_url, "widgetry", "1.0.0")
    await upload(index.publish_url, "gadget", "1.0.0", requires=("widgetry==1.0.0",))
    index.yank("widgetry", "1.0.0", "broken")
    assert index.violations == ["gadget-1.0.0.tar.gz is installable without widgetry==1.0.0"]


async def test_the_page_shows_hash_and_yank(index: PackageIndex):
    await upload(index.publish_url, "widgetry", "1.0.0")
    index.yank("widgetry", "1.0.0", 'a "reason"')
    [file] = json.loads(await page(index, "Widgetry"))["files"]
    assert (file["hashes"], file["yanked"]) == ({"sha256": hashlib.sha256(b"bytes").hexdigest()}, 'a "reason"')
