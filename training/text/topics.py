"""What the guide can explain, and small talk; each with the ways in which people come to it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from training.text.data import PHRASES_FOLDER, TOPICS_FOLDER, TextError, read

NEWEST = "running"  # the group of the newest topics


@dataclass(frozen=True, slots=True)
class Link:
    """A follow-up that leads from one topic to another."""

    to: str
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """One subject with its answer and the wordings that lead to it: `training/topics/NAME.toml`.

    `things` fill "what is ...", `plurals` "what are ...", `actions` "how do i ..."; `asks` are
    whole messages. `controls` are names of a control on the page, and so things in several forms.
    """

    name: str
    group: str
    answer: str
    more: str  # said on "tell me more"
    simple: str = ""  # said on "in simple words"
    why: str = ""  # said on "why"
    often: bool = False  # put in more ways than others, or easily taken for a neighbour
    controls: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    plurals: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class SmallTalk:
    """A kind of small talk: how people say it, and what the guide may reply."""

    answers: tuple[str, ...]
    asks: tuple[str, ...]


def load_topics(folder: Path = TOPICS_FOLDER) -> tuple[Topic, ...]:
    """All topics, in the order of `order.toml`. Raises TextError."""
    groups = read(folder / "order.toml", dict[str, tuple[str, ...]])
    listed = [name for names in groups.values() for name in names]
    there = [path.stem for path in folder.glob("*.toml") if path.stem != "order"]
    for problem, names in (
        ("listed twice", (name for name, count in Counter(listed).items() if count > 1)),
        ("listed, but without a file", set(listed) - set(there)),
        ("not listed", set(there) - set(listed)),
    ):
        if found := sorted(names):
            raise TextError(f"{folder / 'order.toml'}: {problem}: {', '.join(found)}")
    topics = [load_topic(folder, name, group) for group in groups for name in groups[group]]
    _check_links(folder, topics)
    return tuple(topics)


def load_topic(folder: Path, name: str, group: str) -> Topic:
    """One topic, the forms of its controls among its things. Raises TextError."""
    topic = read(folder / f"{name}.toml", Topic, name=name, group=group)
    if not (topic.controls or topic.things or topic.plurals or topic.actions or topic.asks):
        raise TextError(f"{folder / name}.toml: there is no way to ask for it")
    return replace(topic, things=(*_control_forms(topic.controls), *topic.things))


def _control_forms(names: tuple[str, ...]) -> Iterable[str]:
    """The ways to name a control: bare, with article, with the kind of thing it is."""
    yield from names
    for name in names:
        yield from (f"the {name}", f"the {name} setting", f"the {name} slider")
        yield f"{name} in sampling"


def _check_links(folder: Path, topics: list[Topic]) -> None:
    names = {topic.name for topic in topics}
    for topic in topics:
        for at, link in enumerate(topic.links):
            if link.to not in names:
                where = f"{folder / topic.name}.toml: links[{at}].to"
                raise TextError(f"{where}: there is no topic {link.to!r}")


TOPICS = load_topics()
BY_NAME = {topic.name: topic for topic in TOPICS}
SMALL_TALK = read(PHRASES_FOLDER / "small_talk.toml", dict[str, SmallTalk])
