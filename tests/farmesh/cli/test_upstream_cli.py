"""Upstream's command lines, translated."""

from __future__ import annotations

import os

import pytest

from farmesh.cli import run_dht, run_server
from farmesh.cli.arguments import command_line
from farmesh.cli.serve import node_config
from farmesh.config import NodeConfig
from farmesh.constants import PUBLIC_INITIAL_PEERS

PEER = "/ip4/127.0.0.1/tcp/31337/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"


def test_a_server_of_a_private_swarm() -> None:
    """Bug prevented: a script written for upstream's run_server has to be changed."""
    flags = run_server.translate(
        "models/guide --dht_prefix P --identity_path key --host_maddrs /ip4/127.0.0.1/tcp/4001 "
        "--announce_maddrs /ip4/127.0.0.1/tcp/4001 --device cpu --torch_dtype float32 "
        "--throughput 1000 --attn_cache_tokens 32768 --no_auto_relay --skip_reachability_check "
        f"--block_indices 0:4 --public_name me --initial_peers {PEER}".split()
    )
    serve = command_line().parse_args(flags)
    assert serve.command == "serve"
    assert (serve.checkpoint, serve.dht_prefix, str(serve.span)) == ("models/guide", "P", "0:4")
    assert (serve.host, serve.port, serve.cache_tokens) == ("127.0.0.1", 4001, 32768)
    assert (serve.device, serve.dtype, serve.public_name) == ("cpu", "float32", "me")
    assert serve.initial_peers == [PEER]
    assert serve.relay == "never"
    assert serve.announce == ["/ip4/127.0.0.1/tcp/4001"]


def test_loading_flags_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: another revision, precision or adapter is served than was asked for."""
    monkeypatch.setenv("HF_TOKEN", "")
    line = (
        "org/model --new_swarm --revision v2 --cache_dir /tmp/c --quant_type nf4 --token hf_x "
        "--adapters org/one org/two --torch_dtype torch.bfloat16"
    )
    serve = command_line().parse_args(run_server.translate(line.split()))
    assert (serve.checkpoint, serve.revision, str(serve.cache_dir)) == ("org/model", "v2", "/tmp/c")
    assert (serve.quantize, serve.dtype, serve.adapters) == (
        "nf4",
        "bfloat16",
        ["org/one", "org/two"],
    )
    assert os.environ["HF_TOKEN"] == "hf_x"


def test_flags_that_weigh_a_node_are_taken_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Bug prevented: a node takes longer sessions, announces other figures or at other times, or
    moves when its operator had said not to."""
    line = (
        "m --new_swarm --throughput 12.5 --inference_max_length 300 --update_period 7.4 "
        "--balance_quality 0 --mean_balance_check_period 90"
    )
    config = node_config(command_line().parse_args(run_server.translate(line.split())))
    assert (config.throughput, config.max_session_tokens) == (12.5, 300)
    assert (config.update_period, config.balance_quality, config.rebalance_period) == (7, 0, 90)
    for measured in ("auto", "eval"):
        flags = run_server.translate(["m", "--new_swarm", "--throughput", measured])
        assert node_config(command_line().parse_args(flags)) == NodeConfig(
            checkpoint="m", host="0.0.0.0"
        )
    for wrong in ("--throughput dry_run", "--throughput -1", "--balance_quality most"):
        with pytest.raises(SystemExit):
            command_line().parse_args(run_server.translate(["m", "--new_swarm", *wrong.split()]))
    assert "'dry_run' is not a number from 0 up" in capsys.readouterr().err


def test_flags_without_effect_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Bug prevented: an operator believes in a limit that nobody keeps."""
    line = "--new_swarm --num_handlers 8 --session_timeout 60 --num_handlers 4 m --use_relay"
    assert run_server.translate(line.split())[:2] == ["serve", "m"]
    assert capsys.readouterr().err == "--num_handlers, --session_timeout have no effect here.\n"
    run_dht.translate(["--use_ipfs"])
    assert capsys.readouterr().err == "--use_ipfs has no effect here.\n"
    run_server.translate(["m", "--new_swarm", "--skip_reachability_check"])
    assert capsys.readouterr().err == ""


def test_the_public_swarm_is_joined_only_when_upstream_would() -> None:
    """Bug prevented: --new_swarm leaks a private model into the public swarm."""
    assert "--peers" not in run_server.translate(["m", "--new_swarm"])
    flags = run_server.translate(["--converted_model_name_or_path", "m"])
    assert flags[flags.index("--peers") + 1 :] == PUBLIC_INITIAL_PEERS


def test_a_bootstrap_peer() -> None:
    """Bug prevented: run_dht joins somebody else's swarm, or listens elsewhere."""
    flags = run_dht.translate(
        ["--host_maddrs", "/ip4/0.0.0.0/tcp/31337", "--identity_path", "id", "--no_relay"]
    )
    bootstrap = command_line().parse_args(flags)
    assert (bootstrap.host, bootstrap.port) == ("0.0.0.0", 31337)
    assert not bootstrap.initial_peers
    assert bootstrap.relay == "never"


@pytest.mark.parametrize(
    "line", ["", "m --quant_type int2", "m --host_maddrs /unix/tmp", "m --new_swarm --nonsense 1"]
)
def test_what_cannot_be_done_is_said(line: str) -> None:
    """Bug prevented: a flag that matters is dropped without a word."""
    with pytest.raises(SystemExit) as refused:
        run_server.translate(line.split())
    assert refused.value.code
