"""The window is tried on a screen of its own where the system can make one (Xvfb)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from PIL import Image

from ledger.errors import BadInput
from scanner.preview import open_preview
from scanner.symbol import Point, Reader, Symbol, Symbology

CORNERS = (Point(10, 10), Point(50, 10), Point(50, 40), Point(10, 40))
SYMBOL = Symbol(Symbology.EAN_13, "6901234567892", None, (Reader.ZXING,), CORNERS)

needs_tk = pytest.mark.skipif(find_spec("tkinter") is None, reason="this Python has no tkinter")


@pytest.fixture(scope="module")
def screen():
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    number = process.stdout.readline().strip()
    if not number:
        pytest.skip("Xvfb does not run here")
    yield f":{number}"
    process.terminate()
    process.wait(20)
    process.stdout.close()


@needs_tk
def test_what_is_seen_and_read_is_shown(screen, monkeypatch):
    monkeypatch.setenv("DISPLAY", screen)
    preview = open_preview("camera 0")
    preview.show(Image.new("L", (1920, 1080), 90), [SYMBOL])
    assert preview.is_open
    assert (preview._picture.width(), preview._picture.height()) == (960, 540)
    preview.show(Image.new("L", (64, 48), 90), [SYMBOL])
    assert (preview._root.title(), preview._label.winfo_width() > 64) == ("camera 0", True)
    preview.close()
    preview.close()
    assert not preview.is_open
    preview.show(Image.new("L", (64, 48), 90), [])


@needs_tk
def test_its_button_closes_it(screen, monkeypatch):
    monkeypatch.setenv("DISPLAY", screen)
    preview = open_preview("camera 0")
    preview.show(Image.new("L", (64, 48), 90), [])
    assert preview._root.bind("<Escape>")
    assert preview._root.bind("q")
    preview._root.after(0, preview._root.tk.call, preview._root.protocol("WM_DELETE_WINDOW"))
    while preview.is_open:
        preview.show(Image.new("L", (64, 48), 90), [])
    assert not preview._is_there


@needs_tk
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a screen of their own")
def test_no_screen(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(BadInput) as caught:
        open_preview("camera 0")
    assert str(caught.value).startswith("preview: given no display name and no $DISPLAY environment variable")
    assert str(caught.value).endswith(", expected a screen")


def test_no_tk(monkeypatch):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(BadInput) as caught:
        open_preview("camera 0")
    assert str(caught.value) == (
        "preview: given a Python without Tk, expected tkinter (Debian and Ubuntu: python3-tk)"
    )
