"""Settings: the layers' order, and one sentence for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat.settings.catalogue import load_catalogue
from chat.settings.command_line import settings_from_command_line
from chat.settings.layers import DEFAULT_FILE, SPACE_FILE, Layer, load_settings, variables
from chat.settings.schema import PROJECT, Settings
from farmesh.errors import ConfigError
from farmesh.params import SamplingParams

PEER = "/ip4/10.0.0.5/tcp/31337/p2p/QmSomebody"
NO_FLAGS = Layer("the command line", {})


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "my.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(environ: dict[str, str] | None = None, config: Path | None = None) -> Settings:
    return load_settings(NO_FLAGS, environ or {}, config)


def run(*argv: str, environ: dict[str, str] | None = None) -> Settings:
    return settings_from_command_line(argv, environ or {})[0]


# --- What wins --------------------------------------------------------------------------------


def test_the_shipped_file_says_what_the_code_says() -> None:
    """Bug prevented: the documented default and the real one drift apart."""
    assert load() == Settings()
    assert DEFAULT_FILE.is_file()


def test_flags_win_over_the_environment_which_wins_over_the_file(write) -> None:
    """Bug prevented: an operator's variable is silently overridden by a file in the image."""
    config = write("[server]\nport = 1001\nhost = '10.0.0.1'\nroot_path = '/file'")
    environ = {"FARMESH_CHAT_SERVER_PORT": "1002", "FARMESH_CHAT_SERVER_HOST": "10.0.0.2"}
    server = run("--config", str(config), "--port", "1003", environ=environ).server
    assert (server.port, server.host, server.root_path) == (1003, "10.0.0.2", "/file")


def test_gradio_variables_stand_between_the_file_and_our_own(write) -> None:
    """Bug prevented: a container sets GRADIO_SERVER_PORT and the app listens elsewhere."""
    config = write("[server]\nport = 1001\nhost = '10.0.0.1'")
    environ = {
        "GRADIO_SERVER_PORT": "1002",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_ROOT_PATH": "/chat",
        "GRADIO_SHARE": "true",
        "FARMESH_CHAT_SERVER_PORT": "1003",
    }
    server = load(environ, config).server
    assert (server.host, server.port, server.root_path) == ("0.0.0.0", 1003, "/chat")
    assert server.share


def test_an_empty_variable_sets_nothing() -> None:
    """Bug prevented: `docker run -e GRADIO_SERVER_PORT=` ends with an error about an empty port."""
    assert load({"GRADIO_SERVER_PORT": "", "FARMESH_CHAT_SERVER_HOST": ""}) == Settings()


def test_a_space_uses_its_own_file() -> None:
    """Bug prevented: a Space listens on loopback and shows "starting" for ever."""
    on_space = load({"SPACE_ID": "someone/farmesh-chat"})
    assert (on_space.server.host, on_space.server.port) == ("0.0.0.0", 7860)
    assert not on_space.server.open_browser
    assert on_space == load(config=SPACE_FILE)
    assert load({"SPACE_ID": "x/y", "FARMESH_CHAT_CONFIG": str(DEFAULT_FILE)}) == Settings()


def test_every_setting_has_a_variable() -> None:
    """Bug prevented: a new setting cannot be set on a Space, where only variables exist."""
    names = variables()
    assert names["FARMESH_CHAT_SERVER_ROOT_PATH"] == ("server", "root_path")
    assert len(names) == sum(len(type(section).model_fields) for _, section in Settings())


@pytest.mark.parametrize("text", [f"{PEER} {PEER}2", f"{PEER},{PEER}2", f"{PEER}, {PEER}2"])
def test_peers_in_a_variable_are_a_list(text: str) -> None:
    """Bug prevented: only JSON is understood where a person writes addresses."""
    swarm = load({"FARMESH_CHAT_SWARM_PEERS": text}).swarm
    assert swarm.peers == (PEER, PEER + "2")
    assert swarm.mode == "join"


def test_naming_peers_means_joining_them() -> None:
    """Bug prevented: --peers is accepted and the app chats with its own nodes all the same."""
    assert run("--peers", PEER, PEER + "2").swarm.mode == "join"
    assert run("--no-browser").server.open_browser is False
    assert run("--share").server.share is True


def test_settings_cannot_be_changed_after_loading() -> None:
    """Bug prevented: one visitor's choice becomes everybody's."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().server.port = 1  # type: ignore[misc]


def test_relative_paths_start_at_the_project() -> None:
    """Bug prevented: `python some/where/app.py` looks for its model in the current folder."""
    assert Settings().models.catalogue == PROJECT / "configs/models.toml"
    assert load({"FARMESH_CHAT_SWARM_STATE_DIR": "~/x"}).swarm.state_dir == Path.home() / "x"


# --- What is said when something is wrong -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nprot = 1", "my.toml: there is no setting server.prot; did you mean port?"),
        ("[sever]\nport = 1", "my.toml: there is no section sever; did you mean server?"),
        ("[server]\nzzz = 1", "my.toml: there is no setting server.zzz."),
        ("server = 3", "my.toml: server must be a table; it starts with a line like [server]."),
        ("[server]\nport = 'many'", "my.toml: server.port is 'many', but should be a valid int"),
        ("[server]\nport = 0", "my.toml: server.port is 0, but should be greater than or equal"),
        ("[swarm]\nmode = 'public'", "my.toml: swarm.mode is 'public', but should be 'embedded'"),
        ("[swarm]\npeers = ['here']", "my.toml: 'here' is not the address of a peer; one looks"),
        ("[swarm]\nmode = 'join'", 'swarm.mode is "join", but swarm.peers names nobody'),
        ("[server\n", "my.toml is not valid TOML: "),
    ],
)
def test_a_wrong_file_is_one_sentence(write, text: str, sentence: str) -> None:
    """Bug prevented: a traceback, or a typo that is silently ignored."""
    with pytest.raises(ConfigError) as caught:
        load(config=write(text))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value).split("TOML")[0]


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"FARMESH_CHAT_SERVER_PROT": "1"},
            "PROT stands for no setting; did you mean FARMESH_CHAT_SERVER_PORT?",
        ),
        (
            {"GRADIO_SERVER_PORT": "http"},
            "the environment variable GRADIO_SERVER_PORT: server.port is 'http', but",
        ),
        (
            {"FARMESH_CHAT_CHAT_MAX_CHATS": "-1"},
            "the environment variable FARMESH_CHAT_CHAT_MAX_CHATS: chat.max_chats is '-1', but",
        ),
        (
            {"FARMESH_CHAT_SWARM_PEERS": "nobody"},
            "the environment variable FARMESH_CHAT_SWARM_PEERS: 'nobody' is not the address",
        ),
        ({"FARMESH_CHAT_CONFIG": "no/such.toml"}, "There is no settings file no/such.toml."),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], sentence: str) -> None:
    """Bug prevented: the message blames the file for what the environment says."""
    with pytest.raises(ConfigError) as caught:
        load(environ)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--port", "99999"], "the flag --port: server.port is '99999', but should be less"),
        (["--peers", "x"], "the flag --peers: 'x' is not the address of a peer"),
        (
            ["--model", "gide"],
            "There is no model 'gide' in configs/models.toml; did you mean guide?",
        ),
        (["--config", "absent.toml"], "There is no settings file absent.toml."),
        (["--prot", "1"], "unrecognized arguments: --prot"),
    ],
)
def test_a_wrong_flag_ends_with_2_and_a_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug prevented: a traceback, or exit code 1, which scripts take for a crash."""
    with pytest.raises(SystemExit) as caught:
        run(*argv)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


# --- The catalogue ----------------------------------------------------------------------------


def test_the_shipped_catalogue_is_valid() -> None:
    """Bug prevented: the default model is not in the catalogue, or its checkpoint is missing."""
    catalogue = load_catalogue(Settings().models.catalogue)
    first = catalogue[Settings().models.default]
    assert first.instead is not None
    guide = catalogue[first.instead]
    assert isinstance(guide.checkpoint_path, Path)
    assert (guide.checkpoint_path / "config.json").is_file()
    for model in catalogue.models:
        assert isinstance(model.sampling.params(), SamplingParams)
        assert model is guide or (model.parameters and model.disk), "the menu has to say"


def test_a_hub_name_stays_a_name(write) -> None:
    """Bug prevented: "org/model" is taken for a folder that does not exist."""
    text = "[m]\nname='M'\nlicence='MIT'\ncontext=2048\ncheckpoint='org/model'"
    assert load_catalogue(write(text))["m"].checkpoint_path == "org/model"
    text = text.replace("org/model", "./absent")
    assert load_catalogue(write(text))["m"].checkpoint_path == PROJECT / "absent"


def test_a_gguf_file_is_a_file(write) -> None:
    """Bug prevented: a file's name is asked for at the hub, or read from the current folder."""
    text = "[m]\nname='M'\nlicence='MIT'\ncontext=2048\ncheckpoint='models/m.gguf'"
    assert load_catalogue(write(text))["m"].checkpoint_path == PROJECT / "models/m.gguf"
    text = text.replace("models/m.gguf", "org/models:m.gguf")
    assert load_catalogue(write(text))["m"].checkpoint_path == "org/models:m.gguf"


MODEL = "[m]\nname='M'\nlicence='MIT'\ncontext=2048\ncheckpoint='org/model'\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "my.toml describes no model"),
        ("name = 'M'", "my.toml: 'name' stands outside of a model's table"),
        ("[m]\nname = 'M'", "my.toml: m.licence is missing."),
        (MODEL + "licens='x'", "my.toml: there is no setting m.licens; did you mean licence?"),
        (MODEL + "dht_prefix='a.b'", "my.toml: m.dht_prefix is 'a.b', but "),
        (
            MODEL + "[m.sampling]\ntemprature = 1",
            "my.toml: there is no setting m.sampling.temprature; did you mean temperature?",
        ),
        (
            MODEL + "[m.sampling]\ntemperature = -1",
            "my.toml: in m.sampling, temperature must be between 0 and 100, not -1.",
        ),
    ],
)
def test_a_wrong_catalogue_is_one_sentence(write, text: str, sentence: str) -> None:
    """Bug prevented: a typo in a model's description shows as a traceback at start."""
    with pytest.raises(ConfigError) as caught:
        load_catalogue(write(text))
    assert sentence in str(caught.value)
