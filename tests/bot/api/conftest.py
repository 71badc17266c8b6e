"""A server for each test, and the people around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.permissions import Role
from tests.world.api import Agent, Service, serving


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[Service]:
    async with serving(tmp_path) as found:
        yield found


@pytest.fixture
async def ada(service: Service) -> Agent:
    """Builds."""
    return await service.agent("ada", Role.AGENT)


@pytest.fixture
async def rex(service: Service) -> Agent:
    """Reviews."""
    return await service.agent("rex", Role.REVIEWER)


@pytest.fixture
async def lux(service: Service) -> Agent:
    """Reviews too."""
    return await service.agent("lux", Role.REVIEWER)


@pytest.fixture
async def olive(service: Service) -> Agent:
    """Operates."""
    return await service.agent("olive", Role.OPERATOR)
