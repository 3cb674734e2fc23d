"""`suyuan scan` of videos, folders and hand scanners; the sources themselves are tried in tests/scanner."""

from __future__ import annotations

import os
import pty
import signal
import termios
import threading
import time
import tty
from contextlib import contextmanager
from pathlib import Path

import pytest
from filming import belt, film, frame_with, label_picture

from scanner import dropped
from scanner.labels import write_label

TEA, CUP, PARCEL = "6901234567892", "6923450657713", "SF1234567890123"


@contextmanager
def piped(content):
    """Standard input that holds this."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.write(write, content)
    os.close(write)
    with os.fdopen(read) as stream:
        yield stream


def until(holds):
    """Wait for something that happens soon."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def texts(done):
    return [record["text"] for record in done.records]


# Videos and cameras


@pytest.fixture
def video(suyuan, tmp_path):
    return film(tmp_path / "belt.avi", belt([label_picture(text, tmp_path) for text in (TEA, CUP, TEA)]))


def test_each_code_of_a_video_is_told_once(suyuan, video):
    done = suyuan.json("scan", "--video", video.name)
    assert done.status == 0
    assert [(one["text"], one["chain"], one["offset_s"]) for one in done.records] == [
        (TEA, f"01/0{TEA}", 0.1),
        (CUP, f"01/0{CUP}", 0.5),
    ]
    first = done.records[0]
    assert (first["file"], first["source"], first["at"]) == (video.name, "video", None)


def test_a_code_that_comes_back_is_told_again_if_that_is_wanted(suyuan, video):
    done = suyuan.json("scan", "--video", video.name, "--again-after", "0.5")
    assert texts(done) == [TEA, CUP, TEA]


def test_a_video_for_people(suyuan, video):
    done = suyuan("scan", "--video", video.name, "--count", 1)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[:2] == [f"{video.name} at 0.1 s: EAN_13 {TEA}", f"  01/0{TEA}"]
    assert len(lines) == 3


def test_a_video_without_codes(suyuan, tmp_path):
    film(tmp_path / "empty.avi", [frame_with()] * 3)
    done = suyuan("scan", "--video", "empty.avi")
    assert (done.status, done.out) == (1, "")


def test_a_video_that_is_cut_short_tells_what_it_has(suyuan, tmp_path):
    tea = label_picture(TEA, tmp_path)
    whole = film(tmp_path / "whole.avi", [*belt([tea], frames=10), *[frame_with()] * 20]).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    done = suyuan.json("scan", "--video", "cut.avi")
    assert (done.status, texts(done)) == (2, [TEA])
    assert "frames, for it is cut short or damaged" in done.err


def test_a_window_that_cannot_be_had(suyuan, video, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tkinter", None)
    done = suyuan("scan", "--video", video.name, "--preview")
    assert done.status == 0
    assert "Note: without a window. preview: given a Python without Tk, expected tkinter " in done.err


def test_a_camera_that_is_not_there(suyuan):
    done = suyuan("scan", "--camera", 99)
    assert (done.status, done.out) == (2, "")
    assert done.err.endswith(
        "Error: camera 99: given none, or one that is in use or not permitted, "
        "expected a camera that can be opened [INVALID_REQUEST]\n"
    )


# Hand scanners


def test_lines_from_a_pipe(suyuan):
    with piped(f"{TEA}\n]C1010690123456789210A7\r\nhello\n{PARCEL}".encode()) as stdin:
        done = suyuan.json("scan", "--wedge", stdin=stdin)
    assert (done.status, done.err) == (0, "")
    assert [(one["text"], one["chain"]) for one in done.records] == [
        (TEA, f"01/0{TEA}"),
        ("]C1010690123456789210A7", f"01/0{TEA}/10/A7"),
        ("hello", None),
        (PARCEL, f"waybill/sf/{PARCEL}"),
    ]
    first = done.records[0]
    assert (first["file"], first["readers"], first["source"]) == (None, ["scanner"], "standard input")
    assert first["at"].endswith("Z")


def test_a_scan_for_people(suyuan):
    with piped(f"75312345678901\n{TEA}\n".encode()) as stdin:
        done = suyuan("scan", "--wedge", "--carrier", "zto", "--count", 1, stdin=stdin)
    assert done.out == "standard input: 75312345678901\n  waybill/zto/75312345678901\n"


def test_nothing_was_scanned(suyuan):
    with piped(b"") as stdin:
        assert suyuan("scan", "--wedge", stdin=stdin).status == 1


def test_binary_on_standard_input(suyuan):
    with piped(f"\x00\x01\n{TEA}\n\x7f\x80junk\n".encode("latin-1")) as stdin:
        done = suyuan.json("scan", "--wedge", stdin=stdin)
    assert (done.status, texts(done)) == (2, [TEA])
    assert (
        done.err.count("standard input: given bytes that are no text, expected a code in ASCII or UTF-8") == 2
    )


def test_binary_that_does_not_end(suyuan):
    with piped(b"\xff\x00\n" * 500 + f"{TEA}\n".encode()) as stdin:
        done = suyuan("scan", "--wedge", stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 11
    assert done.err.splitlines()[-1].startswith(
        "Error: standard input: given 10 times in a row what no scanner sends, expected a scanner"
    )


@pytest.mark.parametrize("how", ["options", "environment", "file"])
def test_prefix_and_suffix_are_set(suyuan, tmp_path, how):
    options, environment = [], {}
    if how == "options":
        options = ["--prefix", r"\x02", "--suffix", r"\x03\\"]
    elif how == "environment":
        environment = {"SUYUAN_SCANNER_PREFIX": r"\x02", "SUYUAN_SCANNER_SUFFIX": r"\x03\\"}
    else:
        Path("config.toml").write_text(
            "scanner_prefix = '\\x02'\nscanner_suffix = '\\x03\\\\'\nscanner_gap = 20\n"
        )
        environment = {"SUYUAN_CONFIG": "config.toml"}
    with piped(f"\x02{TEA}\x03\\{PARCEL}\x03\\\x02{CUP}\x03\\".encode()) as stdin:
        done = suyuan.json("scan", "--wedge", *options, stdin=stdin, **environment)
    assert (done.status, texts(done)) == (2, [TEA, CUP])
    assert "given a code without the prefix that --prefix tells, expected one with it" in done.err


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--prefix", r"\q", r"--prefix: given \q, expected characters; of \ only \r, "),
        ("--suffix", "\\", "--suffix: given \\, expected characters; of "),
        ("--suffix", "é", "--suffix: given \\xe9, expected at most 32 ASCII characters"),
        ("--prefix", "x" * 33, "expected at most 32 ASCII characters"),
        ("--gap", "0", "--gap: given 0, expected a whole number, 1 to 10000"),
        ("--gap", "1.5", "--gap: given 1.5, expected a whole number, 1 to 10000"),
    ],
)
def test_a_scanner_that_cannot_be_set_up_so(suyuan, option, value, told):
    with piped(f"{TEA}\n".encode()) as stdin:
        done = suyuan("scan", "--wedge", option, value, stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert told in done.err


def test_no_suffix_and_a_pause(suyuan):
    with piped(TEA.encode()) as stdin:
        assert texts(suyuan.json("scan", "--wedge", "--suffix", "none", stdin=stdin)) == [TEA]


def test_at_a_terminal_what_is_typed_is_left_out(suyuan):
    scanner, ours = pty.openpty()
    usual = termios.tcgetattr(ours)

    def type_and_scan():
        while termios.tcgetattr(ours) == usual:
            time.sleep(0.01)
        for key in "hunter2\r":
            os.write(scanner, key.encode())
            time.sleep(0.05)
        os.write(scanner, f"{TEA}\r\x04".encode())

    hands = threading.Thread(target=type_and_scan, daemon=True)
    with os.fdopen(ours, closefd=False) as stdin:
        hands.start()
        done = suyuan.json("scan", "--wedge", stdin=stdin)
    hands.join(20)
    assert termios.tcgetattr(ours) == usual
    for end in (scanner, ours):
        os.close(end)
    assert texts(done) == [TEA]
    assert done.err == "Scan now; what is typed is left out. Ctrl-D ends it.\nTyped, not scanned: left out\n"


def test_sigterm_puts_the_terminal_back(suyuan):
    scanner, ours = pty.openpty()
    usual = termios.tcgetattr(ours)
    process = suyuan.process("scan", "--wedge", stdin=ours)
    try:
        assert process.stderr.readline() == "Scan now; what is typed is left out. Ctrl-D ends it.\n"
        assert termios.tcgetattr(ours) != usual
        os.write(scanner, f"{TEA}\r".encode())
        assert process.stdout.readline() == f"standard input: {TEA}\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert termios.tcgetattr(ours) == usual
    finally:
        process.kill()
        process.wait()
        for end in (process.stdout, process.stderr):
            end.close()
        for end in (scanner, ours):
            os.close(end)


def test_a_serial_line(suyuan):
    scanner, ours = pty.openpty()
    tty.setraw(ours)
    name = os.ttyname(ours)

    def send():
        # pyserial empties the line when it opens it; what comes later is read.
        while not stop.wait(0.05):
            os.write(scanner, f"{TEA}\r\n".encode())

    stop = threading.Event()
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    done = suyuan.json("scan", "--serial", name, "--count", 2, "--baud", 115200)
    stop.set()
    sender.join(20)
    assert (done.status, texts(done)) == (0, [TEA, TEA])
    assert done.records[0]["source"] == f"serial line {name}"
    assert done.err == f"Listening to {name}; Ctrl-C ends it.\n"
    for end in (scanner, ours):
        os.close(end)


def test_a_serial_line_that_is_not_there(suyuan):
    done = suyuan("scan", "--serial", "/dev/does-not-exist", "--baud", "9600")
    assert done.status == 2
    assert "serial line '/dev/does-not-exist': given No such file or directory" in done.err
    assert suyuan("scan", "--serial", "/dev/does-not-exist", "--baud", "fast").status == 2


# Folders


@pytest.fixture
def folder(suyuan, monkeypatch):
    monkeypatch.setattr(dropped, "SETTLED_S", 0.05)
    folder = Path("belt")
    folder.mkdir()
    write_label(folder / "1.png", TEA)
    return folder


def test_a_folder_is_read_once_and_a_second_run_goes_on(suyuan, folder):
    watch = ("scan", "--watch", folder, "--once")
    done = suyuan.json(*watch)
    assert (done.status, done.err) == (0, "")
    assert [(one["file"], one["text"], one["source"]) for one in done.records] == [
        ("belt/1.png", TEA, "folder")
    ]
    write_label(folder / "2.png", CUP)
    (folder / "1.png").rename(folder / "renamed.png")
    assert texts(suyuan.json(*watch)) == [CUP]
    nothing = suyuan.json(*watch)
    assert (nothing.status, nothing.out) == (1, "")
    assert texts(suyuan.json(*watch, "--from-scratch")) == [TEA, CUP]


def test_what_cannot_be_read_does_not_end_a_watch(suyuan, folder):
    (folder / "0.png").write_bytes(b"\x89PNG")
    (folder / "9.png.part").write_bytes(b"\x89PNG")
    done = suyuan.json("scan", "--watch", folder, "--once")
    assert (done.status, texts(done)) == (2, [TEA])
    assert done.err.count('"error"') == 1
    # It was told, and is told again only if somebody changes it.
    assert suyuan("scan", "--watch", folder, "--once").status == 1
    write_label(folder / "0.png", CUP)
    assert texts(suyuan.json("scan", "--watch", folder, "--once")) == [CUP]


@pytest.mark.parametrize(
    ("name", "given"), [("missing", "No such file or directory"), ("belt/1.png", "Not a directory")]
)
def test_a_folder_that_is_none(suyuan, folder, name, given):
    done = suyuan("scan", "--watch", name)
    assert done.status == 2
    assert done.err == (
        f"Error: folder '{name}': given {given}, expected a folder that can be read [INVALID_REQUEST]\n"
    )


def test_a_watch_ends_in_good_order(suyuan, folder):
    """The pictures come while it runs; SIGTERM ends it, and a later run does not read them again."""
    process = suyuan.process("scan", "--watch", folder)
    try:
        assert process.stderr.readline() == "Watching belt; Ctrl-C ends it.\n"
        assert process.stdout.readline() == f"belt/1.png: EAN_13 {TEA}\n"
        half = folder / "2.png"
        write_label("whole.png", CUP)
        whole = Path("whole.png").read_bytes()
        half.write_bytes(whole[:100])
        with half.open("ab") as file:
            for byte in range(100, len(whole), 700):
                time.sleep(0.05)
                file.write(whole[byte : byte + 700])
                file.flush()
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if "2.png" in line) == f"belt/2.png: EAN_13 {CUP}\n"
        assert next(lines) == f"  01/0{CUP}\n"
        assert next(lines).startswith("  read by ")
        # What was printed is remembered at once; a signal in between would have it told again, and never lost.
        [memory] = (suyuan.state / "suyuan" / "watched").glob("*.jsonl")
        until(lambda: len(memory.read_text().splitlines()) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert suyuan("scan", "--watch", folder, "--once").status == 1


# Which source


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["a.png", "--camera", "0"], "pictures and --camera"),
        (["--wedge", "--serial", "x"], "--wedge and --serial"),
        (["--once"], "none"),
    ],
)
def test_one_source_at_a_time(suyuan, arguments, named):
    done = suyuan("scan", *arguments)
    assert done.status == 2
    assert f"read from one source, not from {named}" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["a.png", "--count", "2"],
            "--count goes with --camera or --video or --watch or --wedge or --serial",
        ),
        (["--watch", "x", "--again-after", "2"], "--again-after goes with --camera or --video"),
        (["--wedge", "--no-preview"], "--preview goes with --camera or --video"),
        (["--video", "x", "--once"], "--once goes with --watch"),
        (["--camera", "0", "--from-scratch"], "--from-scratch goes with --watch"),
    ],
)
def test_what_does_not_go_with_a_source(suyuan, arguments, told):
    done = suyuan("scan", *arguments)
    assert done.status == 2
    assert told in " ".join(done.err.replace("│", " ").split())
