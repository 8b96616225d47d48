"""The app over canned replies, and over real nodes in this process."""

from tests.support.served import api, building, client, edge, real, tokenizer  # noqa: F401
