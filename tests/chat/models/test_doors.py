"""Which way the replies come, links for others, and where things are kept."""

from __future__ import annotations

import io
import logging
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from chat.errors import ChatError
from chat.models import doors
from chat.serving import announce, application, state
from chat.settings.command_line import settings_from_command_line
from chat.settings.schema import AccessSettings, ChatSettings, Settings, SwarmSettings
from farmesh.core import NodeInfo, NodeState, Span, SwarmSnapshot
from farmesh.errors import ConfigError

SPACE = {"SPACE_ID": "someone/farmesh-chat"}
FAR = "https://chat.example.org"


def run(*argv: str, environ: dict[str, str] | None = None) -> Settings:
    return settings_from_command_line(argv, environ or {})[0]


def peer(port: str) -> str:
    return f"/ip4/192.0.2.7/{port}/p2p/QmSomebody"


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", [FAR, f"{FAR}/", f"{FAR}/v1", f"{FAR}/v1/", "http://[::1]:7860/chat/v1"]
)
def test_naming_another_app_means_using_it(address: str) -> None:
    """The address is pasted as programs are given it, and the app asks /v1/v1."""
    swarm = run("--gateway", address).swarm
    assert swarm.mode == "gateway"
    assert swarm.gateway_url in (FAR, "http://[::1]:7860/chat")
    variables = {"FARMESH_CHAT_SWARM_GATEWAY_URL": address, **SPACE}
    assert run(environ=variables).swarm.mode == "gateway", "a duplicated Space has only these"


@pytest.mark.parametrize("address", ["chat.example.org", "ftp://x", "https://me:secret@x.org", "x"])
def test_what_is_no_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--gateway", address)
    assert "is not the address of a FarMesh Chat; one looks like" in capsys.readouterr().err


def test_secrets_are_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The key of another app, in a log line about the settings."""
    secrets = {
        "FARMESH_CHAT_SWARM_GATEWAY_URL": FAR,
        "FARMESH_CHAT_SWARM_GATEWAY_KEY": "fm-secret",
        "FARMESH_CHAT_ACCESS_PASSWORD": "sesame",
    }
    settings = run(environ=secrets)
    assert settings.access.sign_in == "shared"
    for text in (repr(settings), str(settings), doors.in_use(settings)):
        assert "fm-secret" not in text
        assert "sesame" not in text
    assert settings.swarm.gateway_key.get_secret_value() == "fm-secret"


def test_a_model_of_another_app_need_not_be_in_the_catalogue() -> None:
    """A Space could use another app's models only with a changed catalogue."""
    assert run("--gateway", FAR, "--model", "llama-70b").models.default == "llama-70b"


# --- which way ------------------------------------------------------------------------------------


def test_the_way_in_use_is_said() -> None:
    assert (
        doors.in_use(run()) == "Replies come from 2 nodes on this machine, which this app starts."
    )
    assert FAR in doors.in_use(run("--gateway", FAR))
    assert doors.in_use(run("--peers", peer("tcp/443"))).endswith("of 1 bootstrap peer.")


def test_a_space_is_told_which_peers_it_cannot_reach() -> None:
    """petals#220: a Space waits for ever for a swarm that its ports keep it from."""
    for port in ("tcp/443", "tcp/8080", "tcp/80", "udp/443/quic-v1"):
        assert not doors.warnings(run("--peers", peer(port), environ=SPACE), SPACE)
    other = peer("tcp/31337")
    (all_lost,) = doors.warnings(run("--peers", other, environ=SPACE), SPACE)
    assert all_lost.startswith("None of the peers can be reached: a Space reaches the ports 80,")
    assert other in all_lost
    assert "swarm.gateway_url" in all_lost
    (some_lost,) = doors.warnings(run("--peers", other, peer("tcp/80"), environ=SPACE), SPACE)
    assert some_lost.startswith("Some of the peers")
    assert peer("tcp/80") not in some_lost
    assert not doors.warnings(run("--peers", other), {}), "elsewhere every port is fine"
    assert not doors.warnings(run(environ=SPACE), SPACE), "nodes of its own are on the same machine"


def test_nodes_that_a_space_cannot_reach_are_said_in_the_page() -> None:
    """The peers answer on 443, the nodes they name do not: "all blocks served", and no reply."""

    def node(name: str, start: int) -> NodeInfo:
        return NodeInfo(name, Span(start, start + 4), NodeState.ONLINE, 1.0)

    nodes = (node("a", 0), node("b", 4), node("c", 4))
    assert doors.unreached(SwarmSnapshot("guide", 8, nodes, {"a": 0.1, "b": 0.1, "c": 0.1})) == ""
    assert doors.unreached(SwarmSnapshot("guide", 8, nodes, {"a": 0.1, "c": 0.1})) == ""
    lost = doors.unreached(SwarmSnapshot("guide", 8, nodes, {"a": 0.1}))
    assert lost.startswith("2 nodes of 3 cannot be reached: a Space reaches the ports 80, 443")


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("http://chat.example.org", True),
        ("http://10.0.0.5:7860", True),
        (FAR, False),
        ("http://127.0.0.1:7860", False),
        ("http://localhost:7860", False),
        ("http://[::1]:7860", False),
    ],
)
def test_a_key_in_clear_text_is_warned_of(address: str, warned: bool) -> None:
    found = doors.warnings(run("--gateway", address), {})
    assert [("unencrypted" in sentence) for sentence in found] == [True] * warned


def test_people_are_told_where_their_words_go() -> None:
    said = application.privacy(run("--gateway", "https://a.example:8443/x").swarm)
    assert "goes to the app at a.example:8443 and" in said


# --- links ----------------------------------------------------------------------------------------


def test_a_shared_link_asks_for_a_password() -> None:
    """Whoever guesses or is sent the link uses the machine behind it."""
    locked = announce.with_password(run("--share"))
    assert locked.access.sign_in == "shared"
    made = locked.access.password.get_secret_value()
    assert re.fullmatch(r"([a-z2-9]{4}-){2}[a-z2-9]{4}", made)
    assert announce.with_password(run("--share")).access.password != locked.access.password
    assert announce.who_may_come_in(locked, made_up=True).endswith(f": {made}")


def test_an_own_password_or_none_is_respected() -> None:
    """A password that its owner set is printed, or replaced by another one."""
    own = announce.with_password(run("--share", environ={"FARMESH_CHAT_ACCESS_PASSWORD": "sesame"}))
    assert own.access.password.get_secret_value() == "sesame"
    assert "sesame" not in announce.who_may_come_in(own, made_up=False)
    open_to_all = announce.with_password(run("--share", "--no-password"))
    assert open_to_all.access.sign_in == "off"
    assert announce.who_may_come_in(open_to_all, made_up=True).startswith("No password: whoever")
    by_name = Settings(server=run("--share").server, access=AccessSettings(sign_in="huggingface"))
    assert announce.with_password(by_name) is by_name
    assert announce.with_password(run()) == run(), "without a link nothing changes"


def test_the_end_of_a_link_is_a_day_that_one_can_read() -> None:
    said = announce.until(datetime(2026, 11, 24, 8, 5, tzinfo=UTC))
    assert said == "It ends with this app, at the latest on Tuesday, 01 December at 08:05."


def test_the_address_for_the_network() -> None:
    """A code that leads everybody's phone to its own loopback."""
    server = run("--host", "192.0.2.9", "--port", "8000").server
    assert announce.in_the_network(server) == "http://192.0.2.9:8000"
    six = server.model_copy(update={"host": "2001:db8::1", "root_path": "/chat"})
    assert announce.in_the_network(six) == "http://[2001:db8::1]:8000/chat"
    for near in ("127.0.0.1", "localhost", "::1"):
        assert announce.in_the_network(run("--host", near).server) is None
    own = announce.in_the_network(run("--host", "0.0.0.0").server)
    assert own is None or not own.startswith(("http://127.", "http://0."))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # gradio's, at its first import
async def test_no_link_is_a_sentence_with_the_local_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A traceback about a download, and no word on where the page is."""
    from chat.page import tunnel

    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody answers
    with pytest.raises(ChatError) as caught:
        await tunnel.share("127.0.0.1", 7860, "http://127.0.0.1:7860")
    assert str(caught.value).startswith("No public link can be had at present")
    assert "The page is at http://127.0.0.1:7860 all the same." in str(caught.value)


class Screen(io.StringIO):
    """A terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_the_code_is_for_terminals_alone() -> None:
    """Half a page of blocks in a log file."""
    drawn = announce.code("http://192.0.2.9:8000", Screen())
    lines = drawn.splitlines()
    assert len(lines) > 10
    assert "▄" in drawn
    assert max(map(len, lines)) < 80
    assert announce.code("http://192.0.2.9:8000", io.StringIO()) == ""


# --- where things are kept ------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """A folder in which nothing can be made, even by root: a file is in its place."""
    (tmp_path / "checkout").write_text("")
    return tmp_path / "checkout" / ".state"


async def test_a_read_only_checkout_keeps_its_nodes_state_elsewhere(
    read_only: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a Space or in a container the app ended with "the state folder cannot be used"."""
    monkeypatch.setattr(state, "USUAL_FOLDER", read_only)
    usual = Settings(swarm=SwarmSettings(state_dir=read_only))
    async with AsyncExitStack() as scope:
        with caplog.at_level(logging.WARNING):
            folder = state.with_folder(usual, scope).swarm.state_dir
        assert folder.stat().st_mode & 0o077 == 0
        assert f"{read_only} cannot be written" in caplog.text
    assert not folder.exists()
    joined = Settings(swarm=SwarmSettings(mode="join", state_dir=read_only))
    async with AsyncExitStack() as scope:
        assert state.with_folder(joined, scope) is joined, "it has no nodes"


def test_conversations_stay_in_browsers_where_nothing_can_be_written(
    read_only: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Signing in on a read-only Space ended the app at its start."""
    monkeypatch.setattr(state, "USUAL_ARCHIVE", read_only / "x.sqlite")
    with caplog.at_level(logging.WARNING):
        assert state.archive(ChatSettings(conversations_file=read_only / "x.sqlite")) is None
    assert "conversations stay in people's browsers" in caplog.text


async def test_a_place_that_somebody_chose_is_not_given_up(read_only: Path) -> None:
    """Identities and conversations that quietly go somewhere else."""
    chosen = Settings(swarm=SwarmSettings(state_dir=read_only))
    async with AsyncExitStack() as scope:
        assert state.with_folder(chosen, scope) is chosen
    with pytest.raises(ConfigError, match="conversations_file"):
        state.archive(ChatSettings(conversations_file=read_only / "x.sqlite"))


def test_a_password_is_no_word_of_the_settings_file() -> None:
    assert Settings().access.password == SecretStr("")
