"""The app as a tool of other models: ``ask`` over MCP, by Gradio's own server.

Needs the package ``mcp``, which is an extra (``requirements-mcp.txt``). Gradio starts without its
MCP server when something is wrong with it, and says nothing: here it is looked at.
"""

from __future__ import annotations

from importlib.util import find_spec

import gradio as gr

from chat.page.endpoints import ASK
from farmesh.errors import ConfigError

INSTALL = "install it with: pip install -r requirements-mcp.txt"


def check_installed() -> None:
    """
    Raises:
        ConfigError: MCP is wanted, and its package is not there.
    """
    if find_spec("mcp") is None:
        raise ConfigError(f"server.mcp is on, but the package mcp is missing; {INSTALL}")


def only_ask(demo: gr.Blocks) -> None:
    """Make ``ask`` the one tool; call after mounting.

    Tools keep nothing between calls, so the endpoints that go on with a chat are none.

    Raises:
        ConfigError: Gradio could not start its MCP server.
    """
    server = demo.mcp_server_obj
    if demo.mcp_error is not None or server is None:
        raise ConfigError(
            f"server.mcp is on, but MCP cannot be served ({demo.mcp_error or 'no reason given'}); "
            f"{INSTALL}"
        )
    server.tool_to_endpoint = {
        tool: endpoint
        for tool, endpoint in server.tool_to_endpoint.items()
        if endpoint == f"/{ASK}"
    }
