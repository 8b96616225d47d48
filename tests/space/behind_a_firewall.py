"""Runs in a network of its own, in which only a Space's ports can be dialled: a swarm on them.

usage: unshare --net python -m tests.space.behind_a_firewall STATE_FOLDER
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.apps import App
from tests.support.processes import Peer

PAGE = 7860  # of the app itself, for us
RULES = f"""
table inet space {{
  chain out {{
    type filter hook output priority 0; policy accept;
    ct state new tcp dport != {{ 80, 443, 8080, {PAGE} }} counter reject
  }}
}}
"""


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
    with contextlib.ExitStack() as scope:

        def peer(*arguments: str) -> Peer:
            started = Peer(*arguments)
            scope.callback(started.end)
            return started

        bootstrap = peer("bootstrap", "--port", "443").address()
        model = ("serve", "models/guide", "--peers", bootstrap, "--threads", "1")
        nodes = [
            peer(*model, "--blocks", span, "--port", port)
            for span, port in (("0:4", "8080"), ("4:8", "80"))
        ]
        for node in nodes:
            node.address()
        space = {**os.environ, "SPACE_ID": "someone/farmesh-chat"}
        space["FARMESH_CHAT_SWARM_STATE_DIR"] = str(folder)
        app = App(PAGE, "--peers", bootstrap, **space)
        scope.callback(app.end)
        app.wait_ready()
        assert "cannot be reached" not in "".join(app.output)
        body = {"model": "guide", "messages": [{"role": "user", "content": "What is a node?"}]}
        answer = httpx.post(f"{app.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        print(app.line())
        # The same node on a port that a Space cannot dial.
        assert nodes[1].end() == 0
        lost = peer(*model, "--blocks", "4:8", "--port", "31337")
        lost.address()
        said = app.until("/farmesh/swarm", lambda a: "a Space reaches" in a.json()["text"])
        print(said.json()["text"])


if __name__ == "__main__":
    main()
