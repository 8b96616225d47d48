"""The app over canned replies, for the people of the soak."""

from tests.support.served import building, client, edge  # noqa: F401
