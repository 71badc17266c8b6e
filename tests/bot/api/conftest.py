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


def _agent(name: str, role: Role):
    @pytest.fixture
    async def agent(service: Service) -> Agent:
        return await service.agent(name, role)

    return agent


ada = _agent("ada", Role.AGENT)
rex = _agent("rex", Role.REVIEWER)
lux = _agent("lux", Role.REVIEWER)
olive = _agent("olive", Role.OPERATOR)
