"""Whether the hub would hand out a repository, asked in a moment and without fetching anything."""

from __future__ import annotations

import httpx
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from farmesh.errors import CheckpointError, HubUnreachable
from farmesh.hub.files import CONFIG
from farmesh.hub.source import on_hub

_SECONDS = 5.0


async def ask_hub(name: str, revision: str | None = None) -> None:
    """What this machine's cache has of it is enough.

    Raises:
        HubUnreachable: it does not answer, or is not to be asked.
        CheckpointError: it does not hand the repository out to this account.
    """
    repository, file = on_hub(name)
    if isinstance(try_to_load_from_cache(repository, file or CONFIG, revision=revision), str):
        return
    if constants.is_offline_mode():
        raise HubUnreachable(f"HF_HUB_OFFLINE keeps {name} from being asked for.")
    url = f"{constants.ENDPOINT}/api/models/{repository}"
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, follow_redirects=True) as http:
            answer = await http.get(url, headers=build_hf_headers())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HubUnreachable(f"The hub ({constants.ENDPOINT}) does not answer.") from error
    if answer.is_error:
        raise CheckpointError(f"The hub does not hand out {repository} ({answer.status_code}).")
