"""Dockerfile, compose.yaml, nginx's file and the systemd units, as far as they can be read here.

``make machines`` runs what they start.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from chat.access.accounts import AccountFile, hash_password, write
from chat.access.gate import Gate
from chat.settings.layers import Layer, load_settings
from chat.settings.schema import AccessSettings
from tests.machines.compose import dockerfile, interpolated, services
from tests.support.documents import PEER, refused
from tests.support.hub import serving
from tests.support.paths import PROJECT

UNITS = sorted((PROJECT / "deploy" / "systemd").glob("*.service"))


def instructions() -> list[tuple[str, str]]:
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


# --- Dockerfile -------------------------------------------------------------------------------


def test_the_image_gets_what_the_app_needs_and_nothing_else() -> None:
    """Prevents an image without the models, or with the builder's .venv and state in it."""
    allowed = (PROJECT / ".dockerignore").read_text().splitlines()
    sources: set[str] = set()
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            sources |= set(rest.split()[:-1])
    for source in sources:
        assert (PROJECT / source).exists(), source
        assert any(f"!{source}".startswith(line) for line in allowed if line[0] == "!"), source
    assert allowed[1] == "*", "first nothing, then what is named"
    assert {"app.py", "chat", "configs", "farmesh", "models"} <= sources


def test_the_image_does_not_run_as_root() -> None:
    """Prevents a hole in the app from being one in the host."""
    names = [name for name, _ in instructions()]
    assert ("USER", "farmesh") in instructions()
    assert names.index("USER") < names.index("CMD")
    assert any("useradd --uid 1000" in rest for name, rest in instructions() if name == "RUN")


def test_the_image_starts_the_page_and_asks_whether_it_lives() -> None:
    """Prevents a container that is healthy by mistake, or starts with flags that are gone."""
    image = dockerfile()
    assert image["CMD"][:2] == ["python", "app.py"]
    assert not refused("app", image["CMD"][2:])
    assert "/healthz" in image["HEALTHCHECK"][-1]
    assert "7860" in image["HEALTHCHECK"][-1]


def test_the_entrypoint_is_a_program() -> None:
    """Prevents "permission denied" as the only word of a container."""
    entrypoint = PROJECT / "deploy" / "entrypoint.sh"
    assert entrypoint.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(entrypoint)], check=True)
    download = next(x for x in entrypoint.read_text().splitlines() if "hf download" in x)
    hf = Path(sys.executable).with_name("hf")  # comes with what Gradio needs
    told = subprocess.run([hf, "download", "--help"], capture_output=True, text=True, check=True)
    for flag in re.findall(r"--[\w-]+", download):
        assert flag in told.stdout, flag


def test_the_entrypoint_downloads_the_weights_once(tmp_path: Path) -> None:
    """Prevents a container without weights, and a download at each of its starts."""
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "WEIGHTS": "somebody/tiny",
        "WEIGHTS_DIR": str(tmp_path / "tiny"),
    }
    run = [str(PROJECT / "deploy" / "entrypoint.sh"), "ls", environ["WEIGHTS_DIR"]]
    with serving() as hub:
        hub.add("somebody/tiny", PROJECT / "models" / "guide")
        environ["HF_ENDPOINT"] = hub.url
        first = subprocess.run(run, env=environ, capture_output=True, text=True, check=True)
        assert "Downloading somebody/tiny" in first.stderr
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(first.stdout.split())
        asked = len(hub.asked)
        again = subprocess.run(run, env=environ, capture_output=True, text=True, check=True)
        assert (again.stdout, again.stderr, len(hub.asked)) == (first.stdout, "", asked)


# --- compose.yaml -----------------------------------------------------------------------------


def test_variables_are_read_as_compose_reads_them() -> None:
    """Prevents a test of commands that Docker would start differently."""
    value = "a ${X:-b} ${Y:+/ip4/${Y}/tcp} $$(cat) ${Z}"
    assert interpolated(value, {}) == "a b  $(cat) "
    assert interpolated([value], {"X": "x", "Y": "1.2.3.4", "Z": "z"}) == [
        "a x /ip4/1.2.3.4/tcp $(cat) z"
    ]


@pytest.mark.parametrize("environ", [{}, {"PUBLIC_IP": "203.0.113.7", "WEIGHTS": "a/b"}])
def test_every_service_starts_something_that_exists(environ: dict[str, str]) -> None:
    """Prevents flags in compose.yaml that the program no longer has."""
    found = services(environ)
    assert {"bootstrap", "node-1", "node-2", "node-3", "node-gpu", "web"} == set(found)
    assert found["node-gpu"].profiles == ["gpu"]
    for service in found.values():
        command = " ".join(service.command).removeprefix("sh -c exec ")
        words = shlex.split(command.replace("$(cat /swarm/address)", PEER))
        module = "app" if words[1] == "app.py" else words[2]
        assert not refused(module, words[2:] if module == "app" else words[3:]), service.name
        load_settings(Layer("the command line", {}), service.environment)


# --- systemd ----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_something_that_exists(unit: Path) -> None:
    """Prevents flags in a unit that the program no longer has."""
    text = unit.read_text(encoding="utf-8").replace("\\\n", " ")
    command = re.search(r"(?m)^ExecStart=\S+/python (.*)$", text)
    assert command
    variables = {"$MODEL": "models/guide", "$PEERS": PEER, "$FLAGS": "", "%i": "7861"}
    words = command[1]
    for name, value in variables.items():
        words = words.replace(name, value)
    first, *rest = shlex.split(words)
    assert not (refused("app", rest) if first == "app.py" else refused(rest[0], rest[1:]))
    environment = dict(re.findall(r"(?m)^Environment=(\w+)=(.*)$", text))
    load_settings(Layer("the command line", {}), environment)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Prevents a unit that systemd ignores half of."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    names = []
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/farmesh-chat", str(tmp_path))
        (tmp_path / unit.name).write_text(text)
        names.append(str(tmp_path / unit.name.replace("@", "@one")))
        if "@" in unit.name:
            (tmp_path / unit.name.replace("@", "@one")).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert not ours, "\n".join(ours)


# --- replicas ---------------------------------------------------------------------------------


def test_nginx_knows_each_replica_everywhere() -> None:
    """Prevents a third replica that is written in two of four places."""
    text = (PROJECT / "deploy" / "nginx" / "farmesh-chat.conf").read_text(encoding="utf-8")
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)", text)) - {"8080"}
    groups = re.findall(r"(?s)upstream (\w+) \{(.*?)\}", text)
    assert {name for name, _ in groups} == {
        "farmesh_any",
        "farmesh_programs",
        *(f"farmesh_{port}" for port in ports),
    }
    for name, body in groups:
        assert set(re.findall(r":(\d+)", body)) == ports, name
    assert set(re.findall(r"(?m)^    (\d+)\s+farmesh_\1;", text)) == ports


def test_replicas_with_one_access_file_know_each_others_people(tmp_path: Path) -> None:
    """Prevents people from having to sign in again when nginx sends them elsewhere."""
    path = tmp_path / "access.json"
    write(path, AccountFile(secret="s" * 43, users={"ada": hash_password("correct horse")}))
    settings = AccessSettings(sign_in="password", file=path)
    one, other = Gate(settings), Gate(settings)
    headers = Headers({"cookie": f"farmesh_session={one.session('ada')}"})
    identity = other.identify(headers)
    assert identity is not None
    assert identity.name == "ada"
    assert identity.person == one.person("ada"), "their kept conversations are found by it"
    stranger = Gate(AccessSettings(sign_in="password", file=_another(tmp_path)))
    assert stranger.identify(headers) is None


def _another(folder: Path) -> Path:
    path = folder / "other.json"
    write(path, AccountFile(secret="t" * 43, users={"ada": hash_password("correct horse")}))
    return path
