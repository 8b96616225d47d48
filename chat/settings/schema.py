"""The sections of the settings, as frozen values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

PROJECT = Path(__file__).resolve().parents[2]  # relative paths in settings start here


def _split(value: object) -> object:
    """Let a list be written as one string, as in an environment variable."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _absolute(value: object) -> object:
    """Read a path the one way that settings have: from the project's folder, ``~`` expanded."""
    if isinstance(value, str | Path) and str(value):
        return PROJECT / Path(value).expanduser()
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
FilePath = Annotated[Path, BeforeValidator(_absolute)]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantize = Literal["auto", "none", "int8", "int4", "nf4"]
Address = Annotated[str, Field(pattern=r"^/.+/p2p/\w+$")]
# Where a FarMesh Chat is: no name or password in it, and no /v1 at its end.
AppUrl = Annotated[
    str,
    Field(pattern=r"^(https?://[\w.\-\[\]:]+(/[\w.\-~/%]*)?)?$"),
    AfterValidator(lambda url: url.rstrip("/").removesuffix("/v1").rstrip("/")),
]


class Section(BaseModel):
    """A table of the settings file: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ServerSettings(Section):
    """Where the page is served."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 means every one")
    port: int = Field(7860, ge=1, le=65535, description="TCP port to listen on")
    root_path: str = Field("", description="path under which a proxy serves the page, e.g. /chat")
    open_browser: bool = Field(True, description="open the page in the default browser at start")
    share: bool = Field(False, description="ask Gradio for a public link at start")
    share_password: bool = Field(
        True,
        description="with a public link and nobody signing in: ask for access.password, which is "
        "made up and printed when there is none",
    )
    allowed_hosts: Words = Field(
        (),
        description="names that the app may be called by, e.g. chat.example.org; * for any "
        "(empty: this machine's own)",
    )
    proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="reverse proxies in front, whose X-Forwarded-For and -Host are believed",
    )
    mcp: bool = Field(
        False,
        description="offer the MCP tool ask at /gradio_api/mcp (needs requirements-mcp.txt)",
    )


class AccessSettings(Section):
    """Who may come in."""

    sign_in: Literal["off", "shared", "password", "huggingface"] = Field(
        "off",
        description="off: everybody who reaches the port; shared: everybody with access.password; "
        "password: users of access.file; huggingface: accounts there",
    )
    password: SecretStr = Field(
        SecretStr(""), description="the one password of sign_in = shared; better not in a file"
    )
    api_keys: bool = Field(
        False, description="programs need a key, at /v1, /mesh and /metrics (with sign_in always)"
    )
    file: FilePath = Field(
        Path(".state/access.json"),
        description="users and keys, as hashes; python -m chat.accounts fills it",
    )
    huggingface_users: Words = Field(
        (), description="Hugging Face accounts that may sign in; empty for every one"
    )
    days: float = Field(30.0, gt=0, description="days until one has to sign in again")


class SwarmSettings(Section):
    """Who serves the model's blocks."""

    mode: Literal["embedded", "join", "gateway"] = Field(
        "embedded",
        description="embedded: own nodes on this machine; join: the swarm at peers; gateway: "
        "another FarMesh Chat, at gateway_url, whose swarm it uses",
    )
    peers: Annotated[tuple[Address, ...], BeforeValidator(_split)] = Field(
        (), description="bootstrap addresses of the swarm to join, /ip4/.../tcp/.../p2p/..."
    )
    gateway_url: AppUrl = Field(
        "", description="gateway: where the other app is, e.g. https://chat.example.org"
    )
    gateway_key: SecretStr = Field(
        SecretStr(""), description="gateway: key for programs that the other app gave out"
    )
    host: str = Field(
        "127.0.0.1",
        description="embedded: address the nodes listen on; 0.0.0.0 lets other machines join",
    )
    nodes: int = Field(2, ge=1, le=64, description="embedded: node processes to start")
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="embedded: threads per node; 0: as many as there are cores, if that is faster",
    )
    cache_tokens: int = Field(
        16384, ge=64, description="embedded: tokens of context a node keeps for all chats together"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="embedded: where nodes compute: cpu, cuda, cuda:1; auto: a GPU where there is "
        "one",
    )
    dtype: Dtype = Field(
        "auto",
        description="embedded: numbers that nodes compute with: float32, bfloat16 or float16; "
        "auto: float32 on CPUs, bfloat16 on GPUs",
    )
    quantize: Quantize = Field(
        "auto",
        description="embedded: weights in int8, int4 or nf4: less memory, not quite the same "
        "replies (nf4 needs requirements-quant.txt); auto: as a GGUF file has them, where that is "
        "fast; none: in dtype",
    )
    state_dir: FilePath = Field(
        Path(".state"), description="folder for the embedded nodes' identities and logs"
    )


class ChatSettings(Section):
    """What people may do, and how long the app keeps things for them."""

    system_prompt: str = Field("", description="text put before every new chat; empty for none")
    max_chats: int = Field(200, ge=1, description="chats kept at once; the longest idle one goes")
    idle_minutes: float = Field(
        30.0, gt=0, description="minutes without a message until a chat's KV caches are given back"
    )
    grace_seconds: float = Field(
        90.0, ge=0, description="seconds a chat waits for its tab to come back after a reload"
    )
    turns_per_minute: int = Field(20, ge=1, description="messages one person may send per minute")
    running_turns_per_person: int = Field(
        2, ge=1, description="replies that one person may have running at once"
    )
    people_per_address: int = Field(
        5,
        ge=1,
        description="strangers with one address may together send, and have running, as much as "
        "so many people",
    )
    running_turns: int = Field(
        16, ge=1, description="replies running at once over all chats; more wait in line"
    )
    waiting_turns: int = Field(
        64, ge=0, description="messages that may wait in line; more are turned away with a sentence"
    )
    max_message_chars: int = Field(20_000, ge=1, description="longest message, in characters")
    api_sessions: int = Field(
        32, ge=0, description="idle sessions kept for programs, whose next request goes on there"
    )
    likes_file: str = Field(
        "",
        description="file for likes and dislikes, with the reply and the message, as JSON lines; "
        "empty: the page has no such buttons",
    )
    conversations_file: FilePath = Field(
        Path(".state/conversations.sqlite"),
        description="file for conversations of people who sign in; others' stay in the browser",
    )
    updates_per_second: float = Field(
        25.0, gt=0, le=120, description="times per second that a growing reply is drawn, at most"
    )


class ModelSettings(Section):
    """Which model the page offers."""

    default: str = Field(
        "smollm2",
        min_length=1,
        description="id of a model in the catalogue; with a gateway, of one of the other app's",
    )
    offered: Words = Field(
        (),
        description="ids of models that people may choose beside the default one; empty: all of "
        "the catalogue",
    )
    cache: str = Field(
        "",
        description="folder for models out of wheels; empty: farmesh-chat/models in the user's "
        "cache, or in swarm.state_dir where that cannot be written",
    )
    catalogue: FilePath = Field(
        Path("configs/models.toml"), description="file that describes the models"
    )


class LoggingSettings(Section):
    """What the app writes to its own log; text of chats is never logged."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe messages shown: debug, info, warning or error"
    )
    format: Literal["text", "json"] = Field(
        "text", description="text for people; json: one object per line, every reply among them"
    )


class Settings(Section):
    """Everything that can be set; one field per section of the file."""

    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    swarm: SwarmSettings = SwarmSettings()
    chat: ChatSettings = ChatSettings()
    models: ModelSettings = ModelSettings()
    logging: LoggingSettings = LoggingSettings()


SECRETS = ("password", "gateway_key")  # settings whose values are never shown
