"""A window that shows what a camera sees, and frames what was read on it.

It is drawn by Tk, which comes with most Pythons, since the OpenCV that runs on servers too has no windows. Where there
is no screen, or no Tk, there is no window: `open_preview` says so, and everything else goes on as well.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageDraw

from ledger.errors import BadInput, Reason
from scanner.symbol import Symbol

if TYPE_CHECKING:
    import tkinter as tk

_LARGEST: Final = (960, 720)
"""Pixels of the picture in the window; larger frames are shown smaller."""
_COLOUR: Final = (0, 200, 0)
_CLOSING_KEYS: Final = ("<Escape>", "q")


def open_preview(title: str) -> Preview:
    """A window with this title.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: there is no screen, or this Python has no Tk.
    """
    try:
        import tkinter as tk  # noqa: PLC0415 - a package of its own on some systems, and only wanted where there is a screen
    except ImportError:
        raise _refusal("a Python without Tk", "tkinter (Debian and Ubuntu: python3-tk)") from None
    try:
        return Preview(tk.Tk(className="suyuan"), title)
    except tk.TclError as error:
        raise _refusal(str(error), "a screen") from None


class Preview:
    """An open window; Escape, q or its own button closes it."""

    def __init__(self, root: tk.Tk, title: str) -> None:
        """Take over the root of Tk."""
        self._root = root
        self._picture: Any = None
        self._is_there = True
        self.is_open = True
        """Whether nobody has closed it."""
        root.title(title)
        root.resizable(width=False, height=False)
        root.protocol("WM_DELETE_WINDOW", self._leave)
        for key in _CLOSING_KEYS:
            root.bind(key, lambda _: self._leave())
        self._label = _label_of(root)

    def show(self, frame: Image.Image, symbols: Iterable[Symbol]) -> None:
        """Show a frame with what was read on it; nothing where the window was closed."""
        if not self.is_open:
            return
        shown = frame.convert("RGB")
        draw = ImageDraw.Draw(shown)
        for symbol in symbols:
            corners = [(corner.x, corner.y) for corner in symbol.position]
            draw.line([*corners, corners[0]], fill=_COLOUR, width=max(2, frame.width // 200))
        shown.thumbnail(_LARGEST)
        # Tk shows it only as long as somebody holds it.
        self._picture = _picture_of(self._root, shown)
        self._label.configure(image=self._picture)
        self._root.update()
        if not self.is_open:
            self.close()

    def close(self) -> None:
        """Close the window; closing again does nothing."""
        self.is_open = False
        if self._is_there:
            self._is_there = False
            self._picture = None
            self._root.destroy()

    def _leave(self) -> None:
        """Somebody closes it; Tk, which tells so in the middle of its work, finishes that first."""
        self.is_open = False


def _label_of(root: tk.Tk) -> tk.Label:
    import tkinter as tk  # noqa: PLC0415 - it is there, for `root` is

    label = tk.Label(root)
    label.pack()
    return label


def _picture_of(root: tk.Tk, picture: Image.Image) -> tk.PhotoImage:
    """A picture for Tk, as a file of pixels: that needs nothing of Pillow which was built for another Tk."""
    import tkinter as tk  # noqa: PLC0415 - likewise

    written = io.BytesIO()
    picture.save(written, "PPM")
    return tk.PhotoImage(master=root, data=written.getvalue(), format="PPM")


def _refusal(given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, "preview", given=given, expected=expected)
