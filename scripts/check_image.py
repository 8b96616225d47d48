"""Build the Dockerfile and chat with what it makes, without a Docker engine and without a registry.

usage: python -m scripts.check_image FOLDER [flags for buildah build]

buildah runs the Dockerfile's own steps, on a Debian of debootstrap's in the place of the Python
image that a registry would give; then the image's entrypoint, command and health check run in a
network of their own. Takes root, a package index, and some gigabytes in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PYTHON = "python3.11"
BASE = "docker.io/library/python:3.11-slim-bookworm"
IMAGE = "farmesh-chat"
# Packages come from where this machine gets its own.
SETTINGS = ("etc/pip.conf", "etc/xdg/pip", "etc/ssl/certs", "usr/share/ca-certificates")
STARTING = 300.0  # seconds
QUESTION = {"model": "guide", "messages": [{"role": "user", "content": "What is a node?"}]}


class Images:
    """buildah with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        places = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self.command = ["buildah", *places, "--storage-driver", "vfs"]

    def __call__(self, *words: str) -> str:
        """What buildah says to a command of its own; its progress is shown."""
        done = subprocess.run(
            [*self.command, *words], stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        return image in self("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()


def make_base(images: Images) -> None:
    """What the Dockerfile builds on, by its name: a small Debian with its own Python."""
    root = images.folder / "base"
    wanted = f"--include=ca-certificates,{PYTHON},{PYTHON}-venv,python3-distutils"
    command = ["debootstrap", "--variant=minbase", wanted, "bookworm", str(root)]
    shutil.rmtree(root, ignore_errors=True)  # of a try that failed
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/{PYTHON}")
    for name in SETTINGS:
        here, there = Path("/", name), root / name
        if here.is_dir():
            shutil.copytree(here, there, dirs_exist_ok=True)
        elif here.exists():
            shutil.copy(here, there)
    container = images("from", "scratch")
    images("add", "--quiet", container, str(root), "/")
    images("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(root)


def build(images: Images, flags: list[str]) -> None:
    chosen = ["--isolation", "chroot", "--format", "docker", "--pull-never", *flags]
    command = [*images.command, "build", *chosen, "--tag", IMAGE, str(PROJECT)]
    subprocess.run(command, stdout=sys.stderr, check=True)


def chat(images: Images) -> None:
    """Start the image as an engine would, wait for its health check, ask, and end it.

    Raises:
        SystemExit: something of it failed.
    """
    told = json.loads(images("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    container = images("from", "--pull-never", IMAGE)
    inside = [*images.command, "run", "--isolation", "chroot", container, "--"]
    app = subprocess.Popen([*inside, *told["Entrypoint"], *told["Cmd"]])
    try:
        deadline = time.monotonic() + STARTING
        check = [*inside, *told["Healthcheck"]["Test"][1:]]
        while subprocess.run(check, capture_output=True, check=False).returncode:
            if app.poll() is not None or time.monotonic() > deadline:
                sys.exit("the image does not become healthy")
            time.sleep(1)
        print(
            "user in the image:", subprocess.check_output([*inside, "id", "-u"], text=True).strip()
        )
        while ask("/readyz") is None and time.monotonic() < deadline:
            time.sleep(1)
        answer = ask("/v1/chat/completions", QUESTION)
        if answer is None:
            sys.exit("the image does not answer")
        print("healthy, and says:", answer["choices"][0]["message"]["content"])
    finally:
        app.terminate()
        print("ended with code", app.wait(30))
        images("rm", container)


def ask(path: str, body: dict[str, Any] | None = None) -> Any:
    """An answer of the app; None while there is none."""
    data = json.dumps(body).encode() if body else None
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:7860{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
    except urllib.error.URLError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for images; reused")
    parser.add_argument("--built", action="store_true", help="only chat with what is there")
    options, flags = parser.parse_known_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    images = Images(options.folder.resolve())
    if options.built:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        chat(images)
        return
    if not images.has(BASE):
        make_base(images)
    build(images, flags)
    again = [sys.executable, "-m", "scripts.check_image", str(options.folder), "--built"]
    os.execvp("unshare", ["unshare", "--net", *again])  # where its port is free, and nobody's


if __name__ == "__main__":
    main()
