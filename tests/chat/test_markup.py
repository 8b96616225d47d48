"""Texts on their way into Gradio's Markdown: nothing that was said may vanish."""

from __future__ import annotations

import time
from html import unescape

import pytest

from chat.page.markup import markdown, typed


@pytest.mark.parametrize(
    "text",
    [
        "How do I use List<String> in Java? It does not compile.",
        "if a<b then c>d",
        "$5 and then $10, __init__, 2*3*4,  two  spaces\n\n\tand a tab\r\n",
        "<script>alert(1)</script> &lt; %%%LATEX_BLOCK_0%%% \\(x\\) `code` ```\n# no heading",
    ],
)
def test_what_a_person_typed_is_in_it_letter_by_letter(text: str) -> None:
    """'How do I use List<String>' was shown as 'How do I use List'."""
    html = typed(text)
    inner = html.removeprefix('<div class="fm-typed" dir="auto">').removesuffix("</div>")
    assert unescape(inner.replace("&#13;", "\r")) == text
    assert not set(inner) & set("<>\"'$\\%`\n\t")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Use Vec<String> here", "Use Vec&lt;String> here"),
        ("if a<b then c>d", "if a&lt;b then c>d"),
        ("a <b> bold </b> x<br>y <sub>2</sub>", "a <b> bold </b> x<br>y <sub>2</sub>"),
        ("an <i> never closed", "an &lt;i> never closed"),
        ("</b> before <b>", "&lt;/b> before &lt;b>"),
        (
            "<img src=x onerror=alert(1)> <a href=x>",
            "&lt;img src=x onerror=alert(1)> &lt;a href=x>",
        ),
        ("<!-- gone? --> <?php", "&lt;!-- gone? --> &lt;?php"),
        ("see <https://example.org/a?b>", "see <https://example.org/a?b>"),
        ("already \\<T>", "already \\<T>"),
        # code stays as it is
        ("`List<String>` and List<T>", "`List<String>` and List&lt;T>"),
        ("``a ` <b`` <c", "``a ` <b`` &lt;c"),
        ("one ` <T> tick", "one ` &lt;T> tick"),
        ("\\`no <code>`", "\\`no &lt;code>`"),
        ("a `b\n\nc` <T>", "a `b\n\nc` &lt;T>"),
        ("```java\nList<String> x;\n```\nList<T>", "```java\nList<String> x;\n```\nList&lt;T>"),
        ("~~~\n```\n<T>\n~~~\n<T>", "~~~\n```\n<T>\n~~~\n&lt;T>"),
        ("````\n```\n<T>\n````\n<T>", "````\n```\n<T>\n````\n&lt;T>"),
        ("- so:\n  ```\n  <T>\n  ```\n  <T>", "- so:\n  ```\n  <T>\n  ```\n  &lt;T>"),
        ("> ```\n> <T>\n\n<T>", "> ```\n> <T>\n\n&lt;T>"),
        ("so:\n\n    List<T>\n\n    <T>\nList<T>", "so:\n\n    List<T>\n\n    <T>\nList&lt;T>"),
        ("so:\n    List<T>", "so:\n    List&lt;T>"),
        ("1. so:\n\n    List<T>", "1. so:\n\n    List&lt;T>"),
        ("1. so:\n\n       List<T>", "1. so:\n\n       List<T>"),
        # money and formulas
        ("$5 and then $10", "$5 and then $10"),
        ("from $5-$10 to US$20", "from $5-$10 to US$20"),
        ("$a<b$ and $x^2$.", "\\(a<b\\) and \\(x^2\\)."),
        ("$$a<b$$ \\[a<b\\] \\(a<b\\)", "$$a<b$$ \\[a<b\\] \\(a<b\\)"),
        ("no end: \\[a<b", "no end: \\[a&lt;b"),
        ("`$x$` \\$y$", "`$x$` \\$y$"),
    ],
)
def test_a_models_markdown_keeps_what_is_no_tag(text: str, wanted: str) -> None:
    """'Use Vec<String> ... important' was shown as 'Use Vec'; prices became formulas."""
    assert markdown(text) == wanted


@pytest.mark.parametrize(
    "piece", ["\\[", "$", "$a ", "<", "`", "`` ` ", "<b>", "\\`", "    <\n\n", "```\n"]
)
def test_hostile_text_costs_no_more_than_other_text(piece: str) -> None:
    """A reply that keeps an event loop busy for seconds stops everybody's."""

    def took(times: int) -> float:
        """Seconds of this process's own CPU, of the best of three: others may be busy beside it."""
        text, best = "<" + piece * times, float("inf")
        for _ in range(3):
            started = time.process_time()
            markdown(text)
            best = min(best, time.process_time() - started)
        return best

    assert took(40_000) < 40 * max(took(4_000), 0.002)
