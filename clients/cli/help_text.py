"""Help texts as they are written: paragraphs are wrapped to the terminal, indented lines and their headings are kept."""

from __future__ import annotations

from typing import Any


def write_help_text(formatter: Any, text: str) -> None:
    """Write a docstring, its common indentation removed, into the help.

    Args:
        formatter: the `HelpFormatter` that Typer hands out.
        text: paragraphs with empty lines between them.
    """
    for paragraph in text.split("\n\n"):
        formatter.write_paragraph()
        lines = paragraph.split("\n")
        with formatter.indentation():
            if any(line.startswith(" ") for line in lines):
                for line in lines:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
            else:
                formatter.write_text(" ".join(lines))
