"""What the browser keeps: conversations, presets, the look."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.support.browser import MODEL_SECONDS, App, Tab, more, titles

# The roles of each conversation that the browser keeps. A reply is kept while it still grows, too:
# should the app end in the middle of it.
KEPT = """() => Object.entries(localStorage).filter(([key]) => key.startsWith("farmesh.chat."))
  .map(([, text]) => JSON.parse(text).messages)
  .map((all) => all.map(m => m.role + (m.made_with ? ", whole" : "")).join(" "))"""


def test_conversations_are_listed_named_searched_and_deleted(tab: Tab) -> None:
    for number, text in enumerate(("What is a block?", "What is a hop?"), 1):
        tab.send(text)
        tab.wait_idle(replies=1)
        tab.until(lambda n=number: len(titles(tab)) == n)
        tab.page.locator("#fm-new").click()
        tab.until(lambda: tab.users == [])
    assert titles(tab) == ["What is a hop?", "What is a block?"]
    more(tab, 1, "Rename")
    tab.page.locator("#fm-chat-list input").fill("Zebra <b>&")
    tab.page.keyboard.press("Enter")
    tab.until(lambda: titles(tab)[0] == "Zebra <b>&")
    tab.page.get_by_placeholder("Search chats").fill("zebra")
    tab.until(lambda: titles(tab) == ["Zebra <b>&"])
    tab.page.get_by_placeholder("Search chats").fill("")
    tab.page.locator(".fm-open", has_text="Zebra").click()
    tab.until(lambda: tab.users == ["What is a block?"])
    tab.reload()
    assert tab.users == ["What is a block?"]
    assert titles(tab)[0] == "Zebra <b>&"
    replies = tab.bots
    more(tab, 0, "Delete")
    tab.page.get_by_role("button", name="Really delete?").click()
    tab.until(lambda: titles(tab) == ["What is a hop?"] and tab.users == [])
    tab.page.locator(".fm-mention").get_by_role("button", name="Undo").click()
    tab.until(lambda: titles(tab)[0] == "Zebra <b>&" and tab.bots == replies)


def test_question_before_deleting_stays_until_it_is_answered(tab: Tab) -> None:
    """The list was drawn anew under the hand: the second click on Delete asked once more."""
    tab.send("What is a block?")
    tab.wait_idle(replies=1)
    tab.until(lambda: len(titles(tab)) == 1)
    elsewhere = """() => {
      const list = JSON.parse(localStorage.getItem("farmesh.chats"));
      localStorage.setItem("farmesh.chats", JSON.stringify([...list, {...list[0], id: "another"}]));
      dispatchEvent(new StorageEvent("storage", {key: "farmesh.chats"}));
    }"""
    row = tab.page.locator("#fm-chat-list li[data-id]").first
    more(tab, 0, "Delete")
    tab.page.evaluate(elsewhere)  # another tab of this person has kept a chat
    sure = tab.page.get_by_role("button", name="Really delete?")
    expect(sure).to_be_visible()
    tab.page.keyboard.press("Escape")  # not now
    expect(sure).to_be_hidden()
    expect(row.locator("summary")).to_be_focused()
    expect(row).to_be_visible()
    tab.until(lambda: len(titles(tab)) == 2)  # what the other tab did, shown when the menu closes
    more(tab, 0, "Delete")
    sure.click()
    tab.until(lambda: len(titles(tab)) == 1)


def test_conversation_outlives_the_servers_memory(tab: Tab, app: App) -> None:
    """gradio#10559: a restart of the app lost every conversation."""
    tab.send("What is a span?")
    tab.wait_idle(replies=1)
    tab.until(lambda: tab.page.evaluate(KEPT) == ["user assistant, whole"])
    reply = tab.bots
    chat = f"{app.url}/farmesh/chat/{tab.chat_id}"
    tab.forget_on_server()  # as a restart does; the page is still open
    tab.until(lambda: tab.page.request.get(chat).status == 200)
    assert tab.bots == reply
    tab.forget_on_server()
    tab.reload()
    tab.until(lambda: tab.bots == reply)
    tab.send("And a hop?")
    tab.wait_idle(replies=2)


def test_reply_that_ends_after_one_has_left_is_kept(tab: Tab) -> None:
    """Whoever went to another chat in mid-reply lost that reply with the app's next start."""
    tab.make_replies_long(tokens=120)
    tab.send("Tell me about blocks.")
    tab.wait_growing(10)
    tab.page.locator("#fm-new").click()
    tab.until(lambda: tab.users == [])
    tab.until(lambda: tab.page.evaluate(KEPT) == ["user assistant, whole"])


def test_system_prompt_belongs_to_its_chat(tab: Tab) -> None:
    """One chat's instructions stayed in force in the next one."""
    tab.tune()
    system = tab.page.locator("#fm-system textarea")
    system.fill("You are a pirate.")
    tab.taken()
    tab.send("Hello")
    tab.wait_idle(replies=1)
    tab.until(lambda: len(titles(tab)) == 1)
    tab.page.locator("#fm-new").click()
    expect(system).to_have_value("")
    tab.page.locator(".fm-open").first.click()
    expect(system).to_have_value("You are a pirate.")


def test_export_and_import(tab: Tab, tmp_path: Path) -> None:
    tab.send("What is a node?")
    tab.wait_idle(replies=1)
    tab.until(lambda: len(titles(tab)) == 1)
    with tab.page.expect_download() as download:
        more(tab, 0, "Export JSON")
    exported = tmp_path / "chat.json"
    download.value.save_as(exported)
    data = json.loads(exported.read_text())
    assert data["title"] == "What is a node?"
    assert [m["role"] for m in data["messages"]] == ["user", "assistant"]
    data["messages"][1]["text"] = "\tA tab, and <b>markup</b>"
    exported.write_text(json.dumps(data))
    with tab.page.expect_download() as download:
        more(tab, 0, "Export Markdown")
    assert Path(download.value.path()).read_text().startswith("# What is a node?\n\n**You**")
    tab.page.locator("#fm-chats input[type=file]").set_input_files(exported)
    tab.until(lambda: len(titles(tab)) == 2 and "A tab" in "".join(tab.bots))
    exported.write_text('{"messages": [{"role": "root"}]}')
    tab.page.locator("#fm-chats input[type=file]").set_input_files(exported)
    expect(tab.page.locator("#fm-mentions")).to_contain_text("not a conversation")


def test_temporary_chat_is_stored_nowhere(tab: Tab) -> None:
    tab.page.locator("#fm-temporary").check()
    tab.send("My secret is xyzzy")
    tab.wait_idle(replies=1)
    tab.page.wait_for_timeout(500)  # twice the time after which other chats are kept
    assert titles(tab) == []
    assert "xyzzy" not in tab.page.evaluate("JSON.stringify({...localStorage})")


def test_presets_are_chosen_saved_and_forgotten(tab: Tab) -> None:
    tab.tune()
    name = tab.page.locator("#fm-preset input")
    temperature = tab.page.locator("#fm-temperature input[type=number]")

    def choose(text: str) -> None:
        name.click()
        tab.page.get_by_role("option", name=text).click()

    choose("Precise")
    expect(temperature).to_have_value("0")
    choose("Neutral")
    expect(temperature).to_have_value("1")
    tab.set_number("temperature", 1.3)
    name.fill("My own")
    tab.page.locator("#fm-preset-save").click()
    choose("Precise")
    expect(temperature).to_have_value("0")
    tab.reload()
    tab.tune()
    choose("My own")
    expect(temperature).to_have_value("1.3")
    tab.page.locator("#fm-preset-forget").click()
    name.click()
    expect(tab.page.get_by_role("option", name="My own")).to_have_count(0)


def test_controls_outlive_a_reload(tab: Tab) -> None:
    """Whoever reloaded the page got the defaults back, and another kind of reply."""
    tab.tune()
    temperature = tab.page.locator("#fm-temperature input[type=number]")
    own = temperature.input_value()
    seed = tab.page.locator("#fm-seed input, #fm-seed textarea")
    greedy = tab.page.locator("#fm-greedy input")

    def keeping(change: Callable[[], object]) -> None:
        kept = "() => localStorage.getItem('farmesh.controls')"
        before = tab.page.evaluate(kept)
        change()
        tab.until(lambda: tab.page.evaluate(kept) != before)

    def models_own() -> None:
        tab.page.locator("#fm-preset input").click()
        tab.page.get_by_role("option", name="Model's own").click()

    keeping(lambda: tab.set_number("temperature", 1.3))
    keeping(lambda: seed.press_sequentially("4"))
    keeping(greedy.check)
    tab.reload()
    tab.tune()
    expect(temperature).to_have_value("1.3")
    expect(seed).to_have_value("4")
    expect(greedy).to_be_checked()
    keeping(models_own)
    expect(temperature).to_have_value(own)
    tab.reload()
    tab.tune()
    expect(temperature).to_have_value(own)


def test_keys(tab: Tab) -> None:
    """Enter sends, Shift+Enter does not, Escape stops, Up edits the last message."""
    tab.make_replies_long()
    tab.box.fill("Tell me")
    tab.box.press("Shift+Enter")
    tab.box.type("everything")
    assert tab.users == []
    tab.box.press("Enter")
    tab.wait_growing(10)
    tab.page.keyboard.press("Escape")
    tab.wait_idle(replies=1)
    tab.box.press("ArrowUp")
    expect(tab.page.locator("#fm-history textarea")).to_have_value("Tell me\neverything")


def test_dark_is_remembered(person: Callable[[], BrowserContext], app: App) -> None:
    tab = Tab(person(), app)
    assert not tab.page.evaluate("document.body.classList.contains('dark')")
    tab.page.locator("[data-toggle=dark]").click()
    tab.reload()
    assert tab.page.evaluate("document.body.classList.contains('dark')")


def test_swarm_is_drawn(tab: Tab) -> None:
    expect(tab.page.locator("#fm-swarm .fm-nodes li")).to_have_count(2)
    expect(tab.page.locator("#fm-swarm .fm-cells")).to_have_attribute(
        "aria-label", "8 blocks, all served"
    )
    tab.make_replies_long()
    tab.send("Tell me everything.")
    expect(tab.page.locator("#fm-swarm .used")).to_have_count(2)
    tab.stop_button.click()
    tab.page.locator(".fm-join summary").click()
    expect(tab.page.locator(".fm-join")).to_contain_text("listens on this machine only")


def test_command_that_is_copied_adds_a_node(tab: Tab, project: Path) -> None:
    """It lacked the model's name in the swarm, and a node started so served another one."""
    tab.page.locator(".fm-join summary").click()
    command = tab.page.locator(".fm-join pre code").inner_text()
    assert "--prefix" in command
    assert "--peers /ip4/127.0.0.1/" in command
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    node = subprocess.Popen(
        [*shlex.split(command), "--name", "guest", "--exit-with-stdin"],
        cwd=project,
        env={**os.environ, "PATH": binaries, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        expect(tab.page.locator("#fm-swarm .fm-nodes b", has_text="guest")).to_be_visible(
            timeout=MODEL_SECONDS
        )
    finally:
        node.communicate(timeout=30)  # closes its stdin: it says goodbye and ends
    expect(tab.page.locator("#fm-swarm .fm-nodes li:not(.offline)")).to_have_count(
        2, timeout=MODEL_SECONDS
    )


def test_phone(person: Callable[..., BrowserContext], app: App) -> None:
    """At 390 px nothing may be wider than the screen, and both drawers open and close."""
    tab = Tab(person(has_touch=True), app)
    tab.page.set_viewport_size({"width": 390, "height": 780})
    tab.send("Hello")
    tab.wait_idle(replies=1)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("side", "tune"):
        tab.page.locator(f"[data-toggle={name}]").tap()
        expect(tab.page.locator(f"#fm-{name}")).to_be_visible()
        tab.page.touchscreen.tap(8 if name == "tune" else 382, 500)
        expect(tab.page.locator(f"#fm-{name}")).to_be_hidden()
