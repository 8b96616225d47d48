"""The page in the reader's language: Gradio's labels, our own texts, and none of anybody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from chat import words
from chat.conversation import controls
from chat.page.labels import tables
from chat.words import explain
from farmesh.core import Span
from farmesh.errors import ContextOverflow, MissingBlocks, SwarmBusy, SwarmUnreachable
from farmesh.events import FinishReason, GenerationStats
from farmesh.params import SamplingParams
from tests.support.browser import App, Tab

LOCALES = {"de": "de-DE", "es": "es-MX", "fr": "fr-FR"}

# Texts on the page that are still English although their language has another word.
LEFT = """([table, places]) => {
  const found = [];
  for (const place of document.querySelectorAll(places)) {
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.data.trim().replace(/\\s+/g, " ");
      if (table[text] && table[text] !== text && !walker.currentNode.parentElement.closest(
        ".fm-open, .message-content, textarea, code, option")) found.push(text);
    }
  }
  return found;
}"""
TRANSLATED = """async texts => {
  const {t} = await import("./farmesh/assets/lang.js");
  return texts.map(t);
}"""
PLACES = "#fm-side, #fm-header, #fm-foot, #fm-tune, .fm-welcome, .fm-actions"


def english_left(page: Page, language: str) -> list[str]:
    return page.evaluate(LEFT, [tables()[language], PLACES])


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_page_speaks_the_readers_language(
    language: str, person: Callable[..., BrowserContext], app: App
) -> None:
    """Half of a page stayed English: labels were translated, drawn texts and sentences were not."""
    table = tables()[language]
    tab = Tab(person(locale=LOCALES[language]), app)
    page = tab.page
    assert page.evaluate("document.documentElement.lang") == language
    expect(page.locator(".fm-welcome h2")).to_have_text(table["One model, many machines"])
    expect(page.locator("#fm-new")).to_have_text(table["New chat"])
    expect(page.locator("#fm-send")).to_have_text(table["Send"])
    expect(tab.box).to_have_attribute("placeholder", table["Write a message"])
    expect(page.locator("#fm-temperature")).to_contain_text(table["Temperature"])
    expect(page.get_by_placeholder(table["Search chats"])).to_be_visible()
    page.locator("[data-toggle=tune]").click()
    page.locator("#fm-keys summary").click()
    assert english_left(page, language) == []
    page.locator("[data-toggle=tune]").click()

    tab.make_replies_long(tokens=20)
    tab.send("Send")  # a word of the page, written by a person: it stays
    tab.wait_idle(replies=1)
    assert tab.users == ["Send"]
    expect(page.locator(".fm-open").first).to_have_text("Send")
    expect(page.locator("#fm-history .fm-more")).to_have_text(table["Continue"])
    tab.send("word " * 5000)
    refusal = table["This message has {} characters; at most {} can be sent. Nothing was sent."]
    expect(page.locator(".fm-notice")).to_contain_text(refusal.rpartition("{}")[2])
    assert english_left(page, language) == []
    with page.expect_response("**/farmesh/swarm*"):
        pass  # the swarm's state comes again, in English
    tab.taken()
    assert english_left(page, language) == []
    tab.box.fill("")
    tab.box.press("ArrowUp")  # found in any language
    expect(page.locator("#fm-history textarea")).to_have_value("Send")


def test_sentences_with_numbers_are_translated(
    person: Callable[..., BrowserContext], app: App
) -> None:
    stats = GenerationStats(1040, 1000, 1200, 0.31, 60.0, hops=3, reroutes=1, seed=7)
    params = SamplingParams(temperature=0.7, top_p=0.9, top_k=40, stop=("x",))
    sentences = [
        *(
            explain(error).text
            for error in (
                ContextOverflow(2000, 1024),
                MissingBlocks(Span(0, 4)),
                SwarmUnreachable("x"),
                SwarmBusy("x"),
                ValueError("a bug"),
            )
        ),
        words.summary(stats),
        f"Made with {controls.made_with(params, 7, 'Guide')}.",
        words.place_in_line(0),
        words.place_in_line(3),
        words.finish(FinishReason.CONTEXT_FULL),
        "node-1 is being started again",
    ]
    for language, locale in LOCALES.items():
        tab = Tab(person(locale=locale), app)
        said = tab.page.evaluate(TRANSLATED, sentences)
        for sentence, other in zip(sentences, said, strict=True):
            assert other != sentence, f"{language} has nothing for: {sentence}"
            for english in (" token to ", "tokens together", "remembered", "Made with", " served"):
                assert english not in other, (language, other)
        assert "1.200" in said[5] if language == "de" else "1200" in said[5]


def test_other_languages_see_english(person: Callable[..., BrowserContext], app: App) -> None:
    tab = Tab(person(locale="fi-FI"), app)
    expect(tab.page.locator("#fm-new")).to_have_text("New chat")
    expect(tab.page.locator(".fm-welcome h2")).to_have_text("One model, many machines")
