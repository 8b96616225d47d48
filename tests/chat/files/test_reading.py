"""Files as text: what is read, and what broken or hostile ones lead to."""

from __future__ import annotations

from io import BytesIO

import pytest
from docx import Document

from chat.conversation.attached import File, split
from chat.errors import ChatError
from chat.files import reading
from chat.files.reading import Reader


def pdf(text: str) -> bytes:
    """A document of one page that says ``text``."""
    drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            " /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 6\n0000000000 65535 f \n{table}trailer\n<< /Size 6 /Root 1 0 R >>\n"
    return f"{body}{end}startxref\n{len(body)}\n%%EOF".encode()


def word() -> bytes:
    document = Document()
    document.add_paragraph("Grüße")
    cells = document.add_table(1, 2).rows[0].cells
    cells[0].text, cells[1].text = "a", "b"
    out = BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.md", "# Grüße\r\n\tx".encode(), "# Grüße\n\tx"),
        ("a.csv", "a;b".encode("utf-16"), "a;b"),
        ("old.txt", "Gr\xfc\xdfe".encode("latin-1"), "Grüße"),
        ("paper.PDF", pdf("Hello hops"), "Hello hops"),
        ("letter.docx", word(), "Grüße\n| a | b |"),
    ],
)
async def test_text_of_all_kinds(name: str, data: bytes, text: str) -> None:
    assert (await Reader().text_of(name, data)).strip() == text


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "x.png is no text"),
        ("x.pdf", b"%PDF-1.4 and then nothing", "x.pdf cannot be read"),
        ("x.docx", b"PK\3\4 no zip", "x.docx cannot be read"),
        ("x.txt", b"  \n", "no text in x.txt"),
        ("x.txt", b"x" * (reading.MAX_BYTES + 1), "at most 8 MB"),
    ],
)
async def test_what_cannot_be_read_is_said(name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(ChatError, match=sentence):
        await Reader().text_of(name, data)


async def test_reader_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document made to take for ever held its reader, and with it everybody else's."""
    monkeypatch.setattr(reading, "PATIENCE", 0.0)
    with pytest.raises(ChatError, match="too long"):
        await Reader().text_of("x.pdf", pdf("x"))


def test_files_in_a_message_are_told_from_what_was_written() -> None:
    message = "File: a.md\n````\n```\ncode\n```\n````\n\nFile: b.txt\n```\n\n```\n\nWhat is this?"
    files = (File("a.md", "```\ncode\n```"), File("b.txt", ""))
    assert split(message) == (files, "What is this?")
    assert split("File: a.md\n```\nno end") == ((), "File: a.md\n```\nno end")
    assert split("File: a\n```\nx\n```") == ((File("a", "x"),), "")
