"""Take the pictures in docs/images from a real running app: ``python -m tests.browser.shoot``.

The names of single pictures can be given; without any all are taken.
"""

from __future__ import annotations

import io
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS, Tab, start_app, wait_ready

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
QUESTIONS = ("Hello!", "What is FarMesh?", "How do I add a node?")
# name: width, height, dark
PICTURES = {
    "chat": (1280, 800, False),
    "chat-dark": (1280, 800, True),
    "chat-phone": (390, 780, False),
}


FILM = "chat.gif"
FRAME = 110  # milliseconds between frames
FILM_WIDTH = 800  # pixels


def main() -> None:
    chromium = shutil.which("chromium") or sys.exit("There is no Chromium; see make test.")
    wanted = sys.argv[1:] or [*PICTURES, "film"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = start_app(Path(folder))
        try:
            wait_ready(app)
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
            for name, (width, height, dark) in PICTURES.items():
                if name in wanted:
                    size = {"width": width, "height": height}
                    scheme = "dark" if dark else "light"
                    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
                    picture(Tab(context, app), name)
                    context.close()
            if "film" in wanted:
                context = browser.new_context(viewport={"width": 1120, "height": 680})
                film(Tab(context, app))
            browser.close()
        finally:
            app.process.send_signal(signal.SIGTERM)
            app.process.wait(20)


def picture(tab: Tab, name: str) -> None:
    tab.page.wait_for_timeout(1500)
    if name == "chat":
        tab.page.screenshot(path=IMAGES / "empty.png")
    for number, question in enumerate(QUESTIONS, 1):
        tab.send(question)
        tab.wait_idle(replies=number)
    tab.page.mouse.move(5, 5)
    tab.page.wait_for_timeout(3000)  # until the map shows no route any more
    tab.page.screenshot(path=IMAGES / f"{name}.png")


def film(tab: Tab) -> None:
    """A question is typed and answered."""
    frames: list[Image.Image] = []

    def shoot(times: int = 1) -> None:
        data = tab.page.screenshot()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        height = image.height * FILM_WIDTH // image.width
        frames.extend([image.resize((FILM_WIDTH, height), Image.Resampling.LANCZOS)] * times)

    tab.page.wait_for_timeout(1500)
    shoot(8)
    for number, question in enumerate(("What is FarMesh?", "How do I add a node?"), 1):
        for letter in question:
            tab.box.press_sequentially(letter)
            shoot()
        tab.box.press("Enter")
        while tab.page.locator("#fm-history .bot-row").count() < number:
            shoot()
        shoot(10)
    palette = frames[-1].quantize(64)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(
        IMAGES / FILM, save_all=True, append_images=small[1:], duration=FRAME, loop=0, optimize=True
    )


if __name__ == "__main__":
    main()
