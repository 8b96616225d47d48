"""``python -m farmesh``: help for strangers, one sentence for mistakes, clean ends."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest

from farmesh.cli import status
from farmesh.cli.arguments import COMMANDS, command_line, subparser
from farmesh.cli.main import main
from farmesh.cli.process import EXIT_LOST
from farmesh.cli.serve import node_config
from farmesh.config import NodeConfig
from farmesh.core import NodeInfo, NodeState, Span, SwarmSnapshot
from tests.support.documents import PEER
from tests.support.paths import PROJECT
from tests.support.processes import alive, ignores_sigint, sigint_of_children
from tests.support.waiting import wait_until


@contextmanager
def running(
    *arguments: str, background: bool = False, **options
) -> Iterator[subprocess.Popen[str]]:
    """A command with open pipes, ended with the scope.

    Args:
        background: as a shell starts `command &`, with SIGINT ignored.
    """
    with sigint_of_children(ignored=background):
        process = subprocess.Popen(
            [sys.executable, "-m", "farmesh", *arguments],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("/ip4/"):
            return line.strip()
    assert process.stderr is not None
    pytest.fail(f"it ended without an address: {process.stderr.read()}")


# --- Help and arguments -----------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_flag(command: str) -> None:
    """Bug prevented: a flag that only its author understands."""
    parser = subparser(command)
    assert parser.description
    for action in parser._actions:
        assert action.help, f"{command} {action.option_strings or action.dest} has no help"
        if isinstance(action.default, int | float) and action.default and action.nargs != 0:
            assert "%(default)s" in action.help, f"{action.dest} does not say its default"


def test_lists_may_be_given_in_one_or_several_flags() -> None:
    """Bug prevented: of `--announce A --announce B` only B is announced."""
    parse = command_line().parse_args
    for flags in (["--announce", "A", "B"], ["--announce", "A", "--announce", "B"]):
        assert parse(["serve", "x", *flags]).announce == ["A", "B"]
    assert parse(["serve", "x"]).announce == []


def test_help_does_not_wait_for_torch() -> None:
    """Bug prevented: `--help` takes as long as loading a model."""
    code = (
        "import sys; from farmesh.__main__ import main\n"
        "try: main(['serve', '--help'])\n"
        "except SystemExit: print(*{'torch', 'hivemind', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "The following arguments are required: COMMAND. See python -m farmesh --help."),
        (["serve", "x", "--blocks", "4"], "'4' is not a span of blocks; write it like 0:4"),
        (["serve", "x", "--blocks", "4:4"], "'4:4' is an empty span of blocks"),
        (["serve", "x", "--threads", "-1"], "'-1' is not a whole number from 0 up"),
        (["serve", "x", "--cache-tokens", "0"], "it must be at least 1"),
        (["bootstrap", "--port", "70000"], "a port is at most 65535"),
        (["status"], "The following arguments are required: --peers"),
        (["status", "--peers", PEER, "--prefix", "x"], "Say which model: --checkpoint NAME"),
        (
            ["generate", "x", "--peers", PEER, "--prompt", "Hi", "--temperature", "-1"],
            "temperature must be between 0 and 100, not -1",
        ),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug prevented: a traceback, or a page of usage in which the reason drowns."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_every_flag_of_serve_is_used() -> None:
    """Bug prevented: a flag is stored under a name that no setting has, and changes nothing."""
    of_the_command = {"command", "verbose", "exit_with_stdin", "address_file"}
    parsed = vars(command_line().parse_args(["serve", "x"])).keys()
    assert parsed - of_the_command <= {field.name for field in fields(NodeConfig)}
    assert node_config(command_line().parse_args(["serve", "x"])) == NodeConfig(checkpoint="x")


# --- Drawing ----------------------------------------------------------------------------------


def node(name: str, peer: str, span: Span, state: NodeState = NodeState.ONLINE) -> NodeInfo:
    return NodeInfo(
        peer, span, state, 123.4, public_name=name, version="0.1", cache_tokens_left=8 * len(span)
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--announce", "/ip4/192.0.2.1/tcp/0"], "names no port"),
        (["--announce", "192.0.2.1:80"], "is not a peer's address"),
        (["--identity", "no/such/folder/x.id"], "There is no folder no/such/folder"),
        (["--identity", "pyproject.toml"], "is not a peer's identity"),
    ],
)
def test_a_wrong_address_or_identity_is_one_sentence(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug prevented: a traceback, or "no bootstrap peer answered", for a typing error."""
    assert main(["bootstrap", *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_status_shows_who_serves_what_and_what_is_missing() -> None:
    """Bug prevented: a swarm with a hole in it looks healthy."""
    snapshot = SwarmSnapshot(
        "guide-hf",
        8,
        (
            node("A", "QmaaaaaaAAAAAA", Span(0, 4)),
            replace(
                node("B", "QmbbbbbbBBBBBB", Span(5, 8)),
                using_relay=True,
                next_pings={"Qm": math.inf},
            ),
        ),
        {"QmaaaaaaAAAAAA": 0.0012},
    )
    start = "python -m farmesh serve CHECKPOINT --peers ADDR --blocks 4:5"
    apart = "peers that differ by more than 3 drop one another."
    seen = status.Seen(
        snapshot,
        clocks={"QmaaaaaaAAAAAA": 0.2, "QmbbbbbbBBBBBB": -2.4},
        bootstrap_peers={"QmccccccCCCCCC": 0.01, "QmddddddDDDDDD": None},
    )
    lines = [line.replace("  cache left", "") for line in status.draw_status(seen).splitlines()]
    assert lines == [
        "guide-hf: 7 of 8 blocks served by 2 nodes.",
        "Bootstrap peer …CCCCCC: 10.0 ms.",
        "Bootstrap peer …DDDDDD: no answer.",
        "",
        "node       blocks            state   latency    reached    throughput  version",
        "A …AAAAAA  0:4     ████····  online  1.2 ms     directly   123         0.1      4 tokens",
        "B …BBBBBB  5:8     ·····███  online  no answer  via relay  123         0.1      4 tokens",
        "",
        f"Nobody serves block 4. Start a node with: {start}",
        "",
        f"The clock of …BBBBBB is 2.4 seconds ahead of this machine's; {apart}",
    ]
    facts = json.loads(json.dumps(status.status_json(seen), allow_nan=False))
    assert facts["bootstrap_peers"][1] == {
        "peer_id": "QmddddddDDDDDD",
        "rtt_seconds": None,
        "clock_ahead": None,
    }
    assert [n["next_pings"] for n in facts["nodes"]] == [{}, {"Qm": None}]
    assert facts["gaps"] == [[4, 5]]
    assert not facts["complete"]
    assert [n["start_block"] for n in facts["nodes"]] == [0, 5]
    assert [n["rtt_seconds"] for n in facts["nodes"]] == [0.0012, None]


def test_a_tall_model_is_drawn_in_the_width_of_a_terminal() -> None:
    """Bug prevented: 126 blocks wrap over three lines; or a lone block at the end is not seen."""
    snapshot = SwarmSnapshot("tall", 126, (node("A", "QmAAAAAA", Span(125, 126)),))
    row = next(
        line for line in status.draw_status(status.Seen(snapshot)).splitlines() if "█" in line
    )
    assert "·█" in row
    assert len(row) < 130


# --- Real processes ---------------------------------------------------------------------------


@pytest.mark.swarm
def test_a_bootstrap_peer_says_its_address_and_ends_on_sigterm(tmp_path: Path) -> None:
    """Bug prevented: a service manager's stop shows as a failure, or leaves the daemon behind."""
    identity = str(tmp_path / "identity")
    with running("bootstrap", "--identity", identity) as process:
        address = wait_for_address(process)
        daemons = children(process.pid)
        assert daemons
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    port = re.search(r"/tcp/(\d+)/", address)
    assert port
    assert not any(map(alive, daemons))
    with running("bootstrap", "--identity", identity, "--port", port[1]) as process:
        assert wait_for_address(process) == address, "the identity file keeps the address"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


@pytest.mark.swarm
def test_a_peer_in_the_background_ends_on_sigterm_alone() -> None:
    """Bug prevented: Ctrl-C of a script ends what it started to stay, or nothing ends it."""
    with running("bootstrap", background=True) as process:
        wait_for_address(process)
        assert ignores_sigint(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.swarm
def test_a_bootstrap_peer_ends_with_its_stdin() -> None:
    """Bug prevented: the app is killed and its bootstrap peer listens for ever."""
    with running("bootstrap", "--exit-with-stdin") as process:
        wait_for_address(process)
        daemons = children(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    assert not any(map(alive, daemons))


@pytest.mark.swarm
def test_a_signal_to_the_whole_group_ends_it() -> None:
    """Bug prevented: systemd's SIGTERM reaches the daemon too, and its peer waits for it."""
    with running("bootstrap", process_group=0) as process:
        wait_for_address(process)
        daemons = children(process.pid)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
    assert not any(map(alive, daemons))


@pytest.mark.swarm
def test_a_peer_without_its_daemon_ends() -> None:
    """Bug prevented: the daemon crashes, and a node that nobody can reach looks alive for ever."""
    with running("bootstrap") as process:
        wait_for_address(process)
        for daemon in children(process.pid):
            os.kill(daemon, signal.SIGKILL)
        assert process.wait(30) == EXIT_LOST
        assert process.stderr is not None
        assert "its p2p daemon ended." in process.stderr.read()


@pytest.mark.swarm
def test_a_killed_process_takes_its_daemon_along() -> None:
    """Bug prevented: SIGKILL of a node leaves a p2p daemon that holds its port."""
    with running("bootstrap") as process:
        wait_for_address(process)
        daemons = children(process.pid)
        process.kill()
        process.wait(30)
    wait_until(lambda: not any(map(alive, daemons)))


@pytest.mark.swarm
def test_a_swarm_that_does_not_answer_is_one_sentence() -> None:
    """Bug prevented: `status` hangs, or shows the daemon's own words."""
    with running("status", "--peers", PEER, "--prefix", "x", "--num-blocks", "2") as process:
        assert process.wait(60) == 2
        assert process.stderr is not None
        error = process.stderr.read()
    assert error.startswith("No bootstrap peer answered within 10 seconds.")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "absent", "--blocks", "0:1"], "There is no folder 'absent' here"),
        (["serve", "{bare}", "--blocks", "0:1"], "has no *.safetensors files."),
        (["serve", "models/guide", "--blocks", "4:9"], "it cannot serve 4:9"),
        (["serve", "models/guide", "--blocks", "0:1", "--dtype", "int3"], "dtype must be auto or"),
        (["bootstrap", "--peers", "here"], "'here' is not a peer's address"),
        (["bootstrap", "--port", "{taken}"], "cannot be used (Address already in use)"),
        (["status", "--peers", PEER, "--checkpoint", "absent"], "There is no folder 'absent' here"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    arguments: list[str],
    sentence: str,
    guide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bug prevented: a traceback where a person needs to know what to do."""
    monkeypatch.chdir(PROJECT)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_bytes((guide / "config.json").read_bytes())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        done = main([argument.format(bare=bare, taken=taken) for argument in arguments])
    error = capsys.readouterr().err
    assert done == 2, error
    assert sentence in error
    assert "Traceback" not in error


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
