"""Live updates are rendered once for all viewers, sent on change, and begin with the newest state after a reconnect."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from starlette.responses import StreamingResponse

from edgegw.web import live_updates
from edgegw.web.live_updates import LiveUpdates, TooManyStreamsError
from tests.support.patience import PATIENCE_S


def news(response: StreamingResponse) -> AsyncIterator[str]:
    return cast("AsyncIterator[str]", response.body_iterator)


async def test_what_changed_is_drawn_once_and_sent_to_all() -> None:
    """Any number of viewers cost one drawing a beat; what did not change is not sent again."""
    drawn: list[int] = []
    present = "a"

    def draw() -> str:
        drawn.append(1)
        return present

    beating = LiveUpdates()
    viewers = [news(beating.stream("BAY-1", draw, event="live")) for _ in range(5)]
    first = [await anext(one) for one in viewers]
    assert first == ["retry: 2000\n\nevent: live\ndata: a\n\n"] * 5
    assert (len(drawn), beating.viewers) == (1, 5)
    waiting = [asyncio.ensure_future(anext(one)) for one in viewers]
    await asyncio.sleep(0)
    beating.beat()
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    present = "b\nc"
    beating.beat()
    assert await asyncio.gather(*waiting) == ["event: live\ndata: b\ndata: c\n\n"] * 5
    assert len(drawn) == 3
    for one in viewers:
        await one.aclose()  # type: ignore[attr-defined]  # a generator
    assert beating.viewers == 0
    beating.beat()
    assert len(drawn) == 3


async def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """More streams than there may be are refused."""
    monkeypatch.setattr(live_updates, "STREAMS_MAX", 1)
    beating = LiveUpdates()
    one = news(beating.stream("a", lambda: ""))
    await anext(one)
    with pytest.raises(TooManyStreamsError):
        beating.stream("a", lambda: "")


async def test_streams_end_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the updates end, every stream ends; until then an idle one gets keepalives."""
    monkeypatch.setattr(live_updates, "STILL_S", 0.01)
    monkeypatch.setattr(live_updates, "EVERY_S", 0.001)
    beating = LiveUpdates()
    running = asyncio.ensure_future(beating.run())
    stream = news(beating.stream("a", lambda: "same"))
    await anext(stream)
    assert await anext(stream) == ": still here\n\n"
    running.cancel()
    async with asyncio.timeout(PATIENCE_S):
        assert all([text.startswith(":") async for text in stream])


async def test_one_address_cannot_take_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams per address are limited; a stream that ends makes room."""
    monkeypatch.setattr(live_updates, "STREAMS_OF_ONE", 1)
    beating = LiveUpdates()
    one = news(beating.stream("a", lambda: "", source="192.0.2.1"))
    await anext(one)
    with pytest.raises(TooManyStreamsError):
        beating.stream("b", lambda: "", source="192.0.2.1")
    await anext(news(beating.stream("a", lambda: "", source="192.0.2.2")))
    await one.aclose()  # type: ignore[attr-defined]  # a generator
    await anext(news(beating.stream("a", lambda: "", source="192.0.2.1")))
