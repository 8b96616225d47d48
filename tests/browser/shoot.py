"""Take the pictures in docs/images from a real running app: ``python -m tests.browser.shoot``."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

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


def main() -> None:
    chromium = shutil.which("chromium") or sys.exit("There is no Chromium; see make test.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = start_app(Path(folder))
        try:
            wait_ready(app)
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
            for name, (width, height, dark) in PICTURES.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if dark else "light",
                )
                tab = Tab(context, app)
                tab.page.wait_for_timeout(1500)
                if name == "chat":
                    tab.page.screenshot(path=IMAGES / "empty.png")
                for number, question in enumerate(QUESTIONS, 1):
                    tab.send(question)
                    tab.wait_idle(replies=number)
                tab.page.mouse.move(5, 5)
                tab.page.wait_for_timeout(3000)
                tab.page.screenshot(path=IMAGES / f"{name}.png")
                context.close()
            browser.close()
        finally:
            app.process.send_signal(signal.SIGTERM)
            app.process.wait(10)


if __name__ == "__main__":
    main()
