"""Provide one browser per test process; it runs in the session's event loop, as the tests do."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from tests.support.chromium import chromium


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Yield Debian's Chromium."""
    async with chromium() as started:
        yield started
