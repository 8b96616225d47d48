"""Very long text in a real browser: it arrives unharmed, or is refused with the numbers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from playwright.sync_api import BrowserContext, expect

from chat.models.backend import Backend, Engine
from farmesh.params import SamplingParams
from tests.browser.inside import inside
from tests.support.browser import App, Tab
from tests.support.fakes import END, FakeClient, FakeTokenizer
from tests.support.ports import patience

MEGABYTE = 1_000_000
LIMIT = "20,000"  # chat.max_message_chars
USABLE = 1.0  # seconds that the page may take for something small


def answers_soon(tab: Tab) -> None:
    """The page draws a frame and takes a letter without a noticeable pause."""
    started = time.monotonic()
    tab.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    tab.box.fill("x")
    expect(tab.box).to_have_value("x")
    assert time.monotonic() - started < USABLE * patience()
    tab.box.fill("")


def test_megabyte_in_one_line_is_refused_and_stays_in_the_box(tab: Tab) -> None:
    """A pasted log file froze the page, or was cut without a word."""
    text = "0123456789" * (MEGABYTE // 10)
    tab.box.fill(text)
    tab.box.press("Enter")
    notice = tab.page.locator(".fm-notice")
    expect(notice).to_contain_text("1,000,000")
    expect(notice).to_contain_text(LIMIT)
    expect(notice).to_contain_text("Nothing was sent")
    tab.until(lambda: tab.box.input_value() == text)
    assert tab.users == []
    answers_soon(tab)
    tab.send("Hello")
    tab.wait_idle(replies=1)


class Pieces(FakeTokenizer):
    """Every token of a reply stands for a thousand characters of one line."""

    SIZE = 1000

    def piece(self, token_id: int) -> str:
        head = f"\t{token_id}  é🙂א"
        return head + "x" * (self.SIZE - len(head))

    def decode(self, token_ids: Sequence[int], **options: bool) -> str:
        return "".join(self.piece(i) for i in token_ids if i != END)


@asynccontextmanager
async def talkative() -> AsyncIterator[Backend]:
    """A model that answers with one line of a megabyte, a thousand characters per token."""
    tokens = [1000 + i for i in range(MEGABYTE // Pieces.SIZE)]
    client = FakeClient(max_context=5_000, step=0.004)
    client.enqueue(tokens)
    backend = Backend("Talkative", SamplingParams(max_new_tokens=2 * len(tokens)))

    async def open_engine(_: Backend) -> Engine:
        return Engine(client, Pieces(), client.max_context)

    await backend.start(open_engine)
    yield backend


def test_megabyte_in_one_line_of_a_reply_arrives_unharmed(
    person: Callable[[], BrowserContext], app: App
) -> None:
    """textgen#6283: the longer the reply, the slower the page, until it stood still."""
    pieces = Pieces()
    wanted = "".join(pieces.piece(1000 + i) for i in range(MEGABYTE // Pieces.SIZE))
    with inside(talkative) as talking:
        tab = Tab(person(), talking)  # type: ignore[arg-type]
        tab.send("Hello")
        tab.wait_growing(100_000)
        answers_soon(tab)  # in the middle of it
        tab.wait_idle(replies=1)
        shown = tab.page.locator("#fm-history [data-testid=bot]").evaluate("node => node.innerText")
        kept = tab.on_server()["messages"]
        assert kept[1]["text"] == wanted, "the text itself was changed"
        assert len("".join(shown.split())) == len("".join(wanted.split())), "not all of it is shown"
        answers_soon(tab)
        tab.send("And now?")
        tab.wait_idle(replies=2)
        assert not tab.errors
