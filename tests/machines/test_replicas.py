"""Two replicas of the app behind nginx, as deploy/nginx/farmesh-chat.conf puts them together."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.machines.compose import PROJECT, Machine
from tests.support.browser import App, Tab
from tests.support.ports import free_port
from tests.support.processes import Command

# What nginx would keep in /var, which only root may write.
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    {paths}
    include {folder}/farmesh-chat.conf;
}}
"""
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass
class Front:
    """nginx, and the replicas behind it by the names that their cookies carry."""

    url: str
    ports: tuple[str, str]
    machine: Machine
    replicas: dict[str, Command] = field(default_factory=dict)

    def start(self, port: str) -> None:
        name = f"web-{port}"
        web = self.machine.services["web"]
        self.machine.services[name] = replace(
            web,
            name=name,
            command=[word.replace("--port 7860", f"--port {port}") for word in web.command],
            health=[word.replace("7860", port) for word in web.health],
            environment={**web.environment, "FARMESH_CHAT_SERVER_PROXIES": "1"},
        )
        self.machine.running.pop(name, None)
        self.replicas[port] = self.machine.start(name)
        self.machine.wait_ready(int(port))

    def kill(self, port: str) -> None:
        """SIGKILL, as when its machine is lost."""
        lost = self.replicas.pop(port)
        lost.signal(signal.SIGKILL)
        lost.process.wait(10)
        self.machine.running.pop(f"web-{port}").end()

    def start_missing(self) -> None:
        for port in self.ports:
            if port not in self.replicas:
                self.start(port)


@pytest.fixture(scope="module")
def front(machine: Machine) -> Iterator[Front]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.fail("There is no nginx; make machines installs Debian's.")
    ports = {"7861": str(free_port()), "7862": str(free_port()), "8080": str(free_port())}
    conf = (PROJECT / "deploy" / "nginx" / "farmesh-chat.conf").read_text(encoding="utf-8")
    for written, here in ports.items():
        conf = conf.replace(written, here)
    folder = machine.folder
    (folder / "farmesh-chat.conf").write_text(conf)
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in KINDS)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, paths=paths))
    front = Front(f"http://127.0.0.1:{ports['8080']}", (ports["7861"], ports["7862"]), machine)
    front.start_missing()
    running = Command(nginx, "-c", str(folder / "nginx.conf"), "-p", str(folder))
    try:
        machine.wait_ready(int(ports["8080"]))
        yield front
    finally:
        running.end()


def replica_of(context: BrowserContext) -> str:
    return next(c["value"] for c in context.cookies() if c["name"] == "farmesh_replica")


def test_people_are_spread_and_stay(front: Front) -> None:
    """Prevents event streams that are asked of a process which never heard of them."""
    first = Counter()
    for _ in range(6):
        with httpx.Client(base_url=front.url) as person:
            person.get("/")
            chosen = person.cookies["farmesh_replica"]
            first[chosen] += 1
            for _ in range(5):
                assert "farmesh_replica" not in person.get("/farmesh/swarm").headers.get(
                    "set-cookie", ""
                )
            assert person.cookies["farmesh_replica"] == chosen
    assert set(first) == set(front.replicas), "both are used"


def test_a_chat_survives_its_replica_and_goes_on(front: Front, browser: Browser) -> None:
    """Prevents a chat from ending with its replica: SIGKILL in mid-reply, and the text is there."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    either = front.replicas[front.ports[0]].process  # a tab asks only for the address
    tab = Tab(context, App(either, front.url, Path()))
    tab.send("What is a node?")
    tab.wait_idle(replies=1)
    answer = tab.bots[0]
    tab.make_replies_long(600)
    tab.send("Tell me everything.")
    kept = """() => Object.entries(localStorage).filter(([key]) => key.startsWith("farmesh.chat."))
        .flatMap(([, text]) => JSON.parse(text).messages).filter((m) => m.cut).map((m) => m.text)"""
    tab.until(lambda: bool(tab.page.evaluate(kept)), 60)
    half = tab.page.evaluate(kept)[0]
    lost = replica_of(context)
    front.kill(lost)

    tab.until(lambda: replica_of(context) != lost, 60)
    replies = tab.page.locator("#fm-history [data-testid=bot]")
    expect(replies).to_have_count(2, timeout=60_000)  # over the reload that Gradio does then
    tab.wait_attached()
    assert tab.users == ["What is a node?", "Tell me everything."]
    assert tab.bots[0] == answer
    assert words(tab.bots[1]).startswith(words(half)[:40]), "what had been written is not lost"
    tab.send("And a span?")
    tab.wait_idle(replies=3)
    assert tab.users[-1] == "And a span?"

    front.start(lost)  # whoever has moved stays: a reply may be running where they are
    time.sleep(6)  # longer than nginx holds the loss against it
    tab.send("And a hop?")
    tab.wait_idle(replies=4)
    assert replica_of(context) != lost
    context.close()


def test_programs_are_answered_while_a_replica_is_away(front: Front) -> None:
    """Prevents an outage for the half of all keys that nginx sends to the replica that is gone."""
    front.start_missing()
    front.kill(front.ports[0])
    for key in ("one", "two", "three", "four"):
        reply = httpx.post(
            f"{front.url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {key}"},
            json={
                "model": "guide",
                "messages": [{"role": "user", "content": "What is a block?"}],
                "max_tokens": 8,
            },
            timeout=120,
        )
        assert reply.status_code == 200, reply.text


def words(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
