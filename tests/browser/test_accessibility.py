"""axe-core's rules in a real browser, and what no rule checks: focus order, live regions, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.browser import App, Tab

GRAVE = ("serious", "critical")


def findings(page: Page) -> list[str]:
    """What axe-core finds in the light and in the dark and calls serious or critical."""
    found = []
    for look in ("light", "dark"):
        for rule in Axe().run(page).response["violations"]:
            if rule["impact"] in GRAVE:
                nodes = [f"{node['target']} {node['html'][:160]}" for node in rule["nodes"][:6]]
                title = f"{look}: {rule['impact']} {rule['id']}: {rule['help']}"
                found.append("\n  ".join([title, *nodes]))
        page.evaluate("document.querySelector('[data-toggle=dark]').click()")
    return found


@pytest.fixture(params=[1280, 390])
def seen(
    request: pytest.FixtureRequest, person: Callable[..., BrowserContext], app: App
) -> Iterator[Tab]:
    """A tab as wide as a laptop and a phone; it may run axe's script."""
    calm = {"reduced_motion": "reduce"}  # transitions are no colours to judge
    tab = Tab(person(color_scheme="light", bypass_csp=True, **calm), app)
    tab.page.set_viewport_size({"width": request.param, "height": 800})
    yield tab
    assert not tab.errors


def test_no_serious_findings(seen: Tab) -> None:
    """Empty, with a chat, while a reply is written, with an error, with the settings open."""
    page = seen.page
    found = {"empty": findings(page)}
    seen.tune() if page.viewport_size["width"] > 400 else None  # type: ignore[index]
    seen.page.keyboard.press("Escape")
    seen.send("Show me `code`, a table and a list.")
    seen.wait_idle(replies=1)
    found["chat"] = findings(page)
    seen.send("What is FarMesh?")
    found["writing"] = findings(page)
    seen.wait_idle(replies=2)
    page.locator("#fm-status summary").click()
    seen.send("word " * 3000)
    expect(page.locator(".fm-notice")).to_be_visible()
    found["error"] = findings(page)
    seen.box.fill("")
    if not page.locator("#fm-tune").is_visible():
        page.locator("[data-toggle=tune]").click()
    page.locator("#fm-keys summary").click()
    found["settings"] = findings(page)
    if page.viewport_size["width"] < 900:  # type: ignore[index]
        page.keyboard.press("Escape")
        page.locator("[data-toggle=side]").click()
        found["drawer"] = findings(page)
    assert not any(found.values()), "\n".join(
        f"{state}: {line}" for state, lines in found.items() for line in lines
    )


def test_focus_goes_through_the_page_in_reading_order(tab: Tab) -> None:
    """Tab jumped between columns; hidden buttons took the focus and nothing was seen of it."""
    tab.send("Hello")
    tab.wait_idle(replies=1)
    tab.page.evaluate(  # as after loading: Tab begins at the page's beginning
        """() => { const first = document.createElement("span"); first.tabIndex = -1;
          document.body.prepend(first); first.focus(); first.remove(); }"""
    )
    places: list[str] = []
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        place, seen = tab.page.evaluate(
            """() => {
              const here = document.activeElement, box = here.getBoundingClientRect();
              const part = here.closest("#fm-side, #fm-header, #fm-log, #fm-foot, #fm-tune");
              return [part ? part.id : here.tagName, box.width > 0 && box.height > 0
                && getComputedStyle(here).visibility !== "hidden"];
            }"""
        )
        if place == "BODY":
            break
        assert seen, f"something invisible has the focus in {place}"
        if not places or places[-1] != place:
            places.append(place)
    assert places == ["fm-side", "fm-header", "fm-log", "fm-foot"]


def test_live_regions_tell_what_happens_once(tab: Tab) -> None:
    """A screen reader read every word of a growing reply again with each token, or none of it."""
    roles = """selector => { const node = document.querySelector(selector);
      return [node?.getAttribute("role"), node?.getAttribute("aria-live")]; }"""
    assert tab.page.evaluate(roles, "#fm-history [role=log]") == ["log", "polite"]
    assert tab.page.evaluate(roles, "#fm-state")[1] == "polite"
    tab.make_replies_long(tokens=40)
    tab.send("Hello")
    tab.wait_growing(10)
    assert tab.page.evaluate(roles, "#fm-live [role=log]")[1] == "off"
    tab.wait_idle(replies=1)
    tab.send("word " * 3000)
    expect(tab.page.get_by_role("alert")).to_contain_text("nothing was sent")


def test_keys_have_a_sheet(tab: Tab) -> None:
    tab.page.keyboard.press("Control+/")
    sheet = tab.page.locator("#fm-keys")
    expect(sheet.locator("dl")).to_be_visible()
    expect(sheet.locator("summary")).to_be_focused()
    for key in ("Enter", "Shift Enter", "Escape", "↑", "Alt Enter", "Ctrl Shift O", "Ctrl /"):
        expect(sheet.locator("dt", has_text=key).first).to_be_visible()
