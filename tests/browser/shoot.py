"""Take the pictures in docs/images from a real running app: ``python -m tests.browser.shoot``.

The names of single pictures can be given; without any all are taken, with the model that the app
starts with. ``--all FOLDER`` takes every state of the page, wide and narrow, light and dark, for
looking at, with Guide, whose memory is full soon.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import CHROMIUM_FLAGS, App, Tab, start_app, wait_ready

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
QUESTIONS = ("What is the capital of France?", "Write a haiku about the sea")
STORY_LENGTH = 400  # characters that are shown after the node was killed
STORY = "Tell me a story about a lighthouse keeper and a whale."
WIDE, NARROW = (1280, 800), (390, 780)
# name: size, dark
PICTURES = {
    "chat": (WIDE, False),
    "chat-dark": (WIDE, True),
    "chat-phone": (NARROW, False),
}

FILM = "chat.gif"
FRAME = 110  # milliseconds between frames
FILM_WIDTH = 800  # pixels
SETTLED = 3000  # milliseconds until the map shows no route any more


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="pictures to take, or film")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every state, into this folder")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("There is no Chromium; see make test.")
    wanted = arguments.names or ([] if arguments.all else [*PICTURES, "film"])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        model = ("--model", "guide") if arguments.all else ()
        app = start_app(Path(folder), *model, FARMESH_CHAT_CHAT_TURNS_PER_MINUTE="200")
        try:
            wait_ready(app)
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
            for name, (size, dark) in PICTURES.items():
                if name in wanted:
                    picture(tab_of(browser, app, size, dark=dark), name)
            if "film" in wanted:
                film(tab_of(browser, app, (1120, 680), dark=False))
            if arguments.all:
                arguments.all.mkdir(parents=True, exist_ok=True)
                for size in (WIDE, NARROW):
                    for dark in (False, True):
                        states(tab_of(browser, app, size, dark=dark), arguments.all)
            browser.close()
        finally:
            app.process.send_signal(signal.SIGTERM)
            app.process.wait(20)


def tab_of(browser: Browser, app: App, size: tuple[int, int], *, dark: bool) -> Tab:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    return Tab(context, app)


def picture(tab: Tab, name: str) -> None:
    """A short conversation; for the first picture also the page before it."""
    tab.page.wait_for_timeout(1500)
    if name == "chat":
        tab.page.screenshot(path=IMAGES / "empty.png")
    for number, question in enumerate(QUESTIONS, 1):
        tab.send(question)
        tab.wait_idle(replies=number)
    tab.page.mouse.move(5, 5)
    tab.page.wait_for_timeout(SETTLED)
    tab.page.screenshot(path=IMAGES / f"{name}.png")
    tab.page.context.close()


def states(tab: Tab, folder: Path) -> None:
    """The page empty, writing, rerouting, with a full context, with an error, with its settings."""
    page = tab.page
    size = page.viewport_size or {}
    look = "dark" if page.evaluate("document.body.classList.contains('dark')") else "light"

    def shoot(state: str) -> None:
        page.screenshot(path=folder / f"{state}-{size['width']}-{look}.png")

    page.wait_for_timeout(1200)
    shoot("empty")
    tab.send("What is FarMesh Chat?")
    tab.wait_idle(replies=1)
    lose_a_node(tab, lambda: shoot("rerouting"), before=lambda: shoot("writing"))
    filler = "One two three four five six seven eight nine ten. " * 8
    for number in range(3, 14):
        tab.send(f"{number}. {filler}")
        tab.wait_idle(replies=number)
        if "no longer fit" in page.locator("#fm-meter-slot").inner_text():
            break
    shoot("full")
    tab.send("word " * 3000)
    page.locator(".fm-notice").wait_for()
    shoot("error")
    tab.box.fill("")
    page.locator("[data-toggle=tune]").click()
    page.wait_for_timeout(400)
    shoot("settings")
    if size["width"] < 900:
        page.keyboard.press("Escape")
        page.locator("[data-toggle=side]").click()
        page.wait_for_timeout(400)
        shoot("drawer")
    page.context.close()


def lose_a_node(
    tab: Tab, shoot: Callable[[], None], before: Callable[[], None] = lambda: None
) -> None:
    """A node is killed in the middle of a long reply; one picture of what the page says."""
    go_on = tab.page.locator("#fm-endless input")
    tab.make_replies_long(tokens=260)
    tab.set_number("temperature", 0.9)
    close_settings(tab)
    tab.send("Tell me how a reply is made.")
    tab.wait_growing(150)
    before()
    os.kill(tab.app.nodes()[-1], signal.SIGKILL)
    tab.until(lambda: "waiting up to" in tab.status or "node left" in tab.status)
    tab.page.wait_for_timeout(2600)  # the map has seen it too
    shoot()
    tab.until(lambda: "Writing" in tab.status or tab.stop_button.is_hidden(), 60)
    tab.wait_idle()
    tab.page.wait_for_timeout(SETTLED)
    tab.tune()
    go_on.uncheck()
    close_settings(tab)


def close_settings(tab: Tab) -> None:
    """By the button, or on a phone, where they lie above it, by the key."""
    if (tab.page.viewport_size or {})["width"] < 900:
        tab.page.keyboard.press("Escape")
    else:
        tab.page.locator("[data-toggle=tune]").click()


def film(tab: Tab) -> None:
    """Questions are typed and answered; then a node is killed, and the reply goes on."""
    frames: list[Image.Image] = []

    def shoot(times: int = 1) -> None:
        data = tab.page.screenshot()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        height = image.height * FILM_WIDTH // image.width
        frames.extend([image.resize((FILM_WIDTH, height), Image.Resampling.LANCZOS)] * times)

    def ask(question: str, number: int) -> None:
        for letter in question:
            tab.box.press_sequentially(letter)
            shoot()
        tab.box.press("Enter")
        while tab.page.locator("#fm-history .bot-row").count() < number:
            shoot()
        shoot(10)

    tab.page.wait_for_timeout(1500)
    shoot(8)
    ask(QUESTIONS[0], 1)
    tab.send(STORY)
    told = len(tab.wait_growing(30)) + STORY_LENGTH
    os.kill(tab.app.nodes()[-1], signal.SIGKILL)
    while tab.stop_button.is_visible() and len(tab.live) < told:
        shoot()
        tab.page.wait_for_timeout(FRAME)
    shoot(16)
    tab.stop_button.click()
    width, height = frames[0].size
    colours = Image.new("RGB", (width, 4 * height))  # of the whole film, the waiting's too
    for place in range(4):
        colours.paste(frames[place * (len(frames) - 1) // 3], (0, place * height))
    palette = colours.quantize(128)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(
        IMAGES / FILM, save_all=True, append_images=small[1:], duration=FRAME, loop=0, optimize=True
    )
    tab.page.context.close()


if __name__ == "__main__":
    main()
