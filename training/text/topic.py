"""What a topic is: one thing the guide can explain, and how people ask for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One subject with its answer and the wordings that lead to it.

    `things` fill "what is ...", `plurals` "what are ...", `actions` "how do i ...";
    `asks` are whole messages. `links` are follow-ups that lead from here to another topic.
    """

    name: str
    answer: str
    more: str  # said on "tell me more"
    simple: str = ""  # said on "in simple words"
    why: str = ""  # said on "why"
    things: tuple[str, ...] = ()
    plurals: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # (message, name of the topic it leads to)
