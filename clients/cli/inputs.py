"""What commands read beside their arguments: small files, standard input, secrets."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Final

from clients.events import Commitment
from clients.purchase_token import PREFIX, PurchaseToken
from ledger.errors import BadInput, Reason

MAX_INPUT_BYTES: Final = 1_000_000
"""What is read of a file that holds a passphrase, a token or a text."""

STANDARD_INPUT: Final = Path("-")


def read_token(path: Path | None) -> PurchaseToken:
    """The purchase token from a text file, a picture, standard input (`-`), or else `$SUYUAN_TOKEN`.

    Raises:
        BadInput: `INVALID_REQUEST` if there is none or it cannot be read, `BAD_KEY` if it is no token. What was read
            is not repeated in messages: it may be a secret with a slip in it.
    """
    if path is None:
        told = os.environ.get("SUYUAN_TOKEN")
        if not told:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "purchase token",
                given="none",
                expected="--token FILE, --token - for standard input, or the token in $SUYUAN_TOKEN",
            )
        return PurchaseToken.parse(told)
    content = read_input(path, "purchase token")
    if content.startswith(PREFIX.encode()) or path == STANDARD_INPUT:
        return PurchaseToken.parse(content.decode("utf-8", "replace"))
    return PurchaseToken.parse(_text_of_picture(path) or content.decode("utf-8", "replace"))


def read_input(path: Path, what: str) -> bytes:
    """A small file, or standard input where the path is `-`.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST, f"{what} {path}", given=error.strerror, expected="a file that can be read"
        ) from error
    return content


def read_text(text: str | None, path: Path | None) -> str | None:
    """The words that a user gives as `--text` or `--text-file`; None if there are none.

    Raises:
        BadInput: `INVALID_REQUEST` if both are given, or the file is not UTF-8.
    """
    if text is not None and path is not None:
        raise BadInput(
            Reason.INVALID_REQUEST, "text", given="--text and --text-file", expected="one of the two"
        )
    if path is None:
        return text
    try:
        return read_input(path, "text").decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise BadInput(
            Reason.INVALID_REQUEST, f"text {path}", given="other bytes", expected="UTF-8"
        ) from None


def commitment_to(text: str | None, path: Path | None) -> Commitment | None:
    """A commitment to the words that a user gives as `--text` or `--text-file`; None if there are none.

    Raises:
        BadInput: as `read_text` and `Commitment.to`.
    """
    words = read_text(text, path)
    return None if words is None else Commitment.to(words)


def first_line(path: Path) -> bytes:
    """The first line of a file with a passphrase, without its end."""
    return read_input(path, "passphrase file").split(b"\n", 1)[0].removesuffix(b"\r")


def ask_passphrase(prompt: str) -> bytes:
    """Ask for a passphrase at the terminal, without showing it.

    Raises:
        BadInput: `INVALID_REQUEST` if there is no terminal.
    """
    if not sys.stdin.isatty():
        raise BadInput(
            Reason.INVALID_REQUEST,
            "passphrase",
            given="none, and no terminal to ask at",
            expected="--passphrase-file FILE or $SUYUAN_KEY_PASSPHRASE",
        )
    return getpass(prompt).encode()


def _text_of_picture(path: Path) -> str | None:
    """The purchase token among the symbols on a picture; None if it is no picture or has none."""
    from scanner.decode import decode_image  # noqa: PLC0415 - readers take long to load, and few calls need them

    try:
        symbols = decode_image(path)
    except BadInput:
        return None
    return next((symbol.text for symbol in symbols if symbol.text.startswith(PREFIX)), None)
