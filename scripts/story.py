"""The demo: the life of one product through the real command line and a real service, told step by step.

Every step says what must come out of it. The exit status is 0 only if all of it came out as told.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageFilter
from tampering import Lie, lies, log_signer

from clients.cli.main import main as suyuan

SUYUAN = str(Path(sys.executable).with_name("suyuan"))
ORIGIN = "ledger.example/fuzhou"
REGULATOR, PLATFORM = "11350100003604566X", "91350100M000100Y43"
MERCHANT, COURIER = "91350102MA2XW1QL3Y", "91440300708461136T"
TEA, CUP, WAYBILL = "6901234567892", "6923450657713", "SF1234567890123"
EVENT_ID = re.compile(r"event ([0-9a-f]{64})")

OK, REFUSED = 0, 4

T, R = TypeVar("T"), TypeVar("R")


# Some fifty commands, each in a process of its own. Starting Python and importing everything anew takes most of a
# command's time, so the processes are forked from one that has imported what they need.
PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = (
    "merchant",
    "courier",
    "consumer",
    "platform",
    "regulator",
    "scan",
    "keygen",
    "auditing",
    "history",
)


class UnexpectedError(Exception):
    """A step did not come out as told."""


@dataclass
class Story:
    """A stage: a folder, a service, and what has been said."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    bold: bool = False

    def chapter(self, title: str) -> None:
        """A heading."""
        print(f"\n\033[1m{title}\033[0m" if self.bold else f"\n{title}", flush=True)

    def say(self, text: str) -> None:
        """A line of our own."""
        # In one piece, for steps may run at once.
        print(f"  {text}\n", end="", flush=True)

    def command(self, *arguments: str) -> None:
        """A command that is run."""
        self.say(f"$ suyuan {' '.join(_quoted(argument) for argument in arguments)}")

    def set(self, name: str, value: str) -> None:
        """Set an environment variable for all that follows."""
        self.environment[name] = value
        self.say(f"$ export {name}={value}")

    def run(
        self,
        *arguments: str,
        key: str = "",
        status: int = OK,
        expected: Sequence[str] = (),
        quiet: bool = False,
        untold: bool = False,
        **environment: str,
    ) -> str:
        """Run `suyuan` with these arguments, and look whether it came out as told.

        Args:
            arguments: the command line.
            key: whose key signs.
            status: the exit status that it must have.
            expected: texts that its output must hold.
            quiet: print the command, and not what it says.
            untold: print nothing: whoever calls does.
            environment: further environment variables.
        """
        if key:
            arguments = (*arguments, "--key", f"{key}.pem")
        if quiet:
            self.command(*arguments)
        output, given = self._command(arguments, environment)
        if not quiet and not untold:
            self.command(*arguments)
            for line in output.splitlines():
                self.say(f"    {line}")
        missing = [text for text in expected if text not in output]
        if given != status or missing:
            raise UnexpectedError(
                f"suyuan {' '.join(arguments)}\n{output}\n"
                f"exit status: given {given}, expected {status}; not said: {missing or 'nothing'}"
            )
        return output

    def _command(self, arguments: Sequence[str], environment: dict[str, str]) -> tuple[str, int]:
        """Run the command line in a process of its own; gives its output and exit status."""
        with tempfile.NamedTemporaryFile(prefix="suyuan-demo-", suffix=".out") as file:
            process = PROCESSES.Process(
                target=_suyuan, args=(list(arguments), self.folder, self.environment | environment, file.name)
            )
            process.start()
            process.join(60)
            if process.is_alive():
                process.kill()
                process.join()
            return file.read().decode(), process.exitcode if process.exitcode is not None else -1

    @contextmanager
    def service(self, database: str, name: str) -> Iterator[str]:
        """A service on a database, as `serve_arguments` say; gives its address."""
        ready = self.folder / f"{name}.ready"
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [SUYUAN, *serve_arguments(database), "--ready-file", ready.name],
                cwd=self.folder, env={**os.environ, **self.environment}, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 30
            while not (ready.exists() and ready.read_text().endswith("\n")):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise UnexpectedError(
                        f"the service did not start:\n{(self.folder / f'{name}.log').read_text()}"
                    )
                time.sleep(0.02)
            yield ready.read_text().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def serve_arguments(database: str) -> tuple[str, ...]:
    """The command that serves a database at a free port."""
    return ("operator", "serve", "--database", database, "--log-key", "log.pem", "--listen", "127.0.0.1:0")


def tell(story: Story) -> None:
    """The whole story."""
    found(story)
    story.command(*serve_arguments("log.db"))
    with story.service("log.db", "service") as address:
        story.set("SUYUAN_SERVER", address)
        register(story)
        photograph(story)
        complaint = live(story)
        forge(story)
        look(story)
        audit(story)
    tamper(story, complaint)


def found(story: Story) -> None:
    """Keys, genesis, log."""
    story.chapter("1  A log is founded")
    owners = ("regulator", "platform", "merchant", "courier", "stranger")
    at_once(lambda owner: story.run("keygen", "--no-passphrase", "--out", f"{owner}.pem", quiet=True), owners)
    story.say(f"Keys of {', '.join(owners)}: each made by its owner, in a file of mode 0600.")
    story.run("regulator", "genesis", "--origin", ORIGIN, "--party", REGULATOR, "--name", "福州市市场监督管理局",
              "--out", "genesis.bin", key="regulator")  # fmt: skip
    story.run("operator", "init", "--genesis", "genesis.bin", "--database", "log.db", "--log-key", "log.pem")
    vkey = story.run("operator", "vkey", "--database", "log.db", "--log-key", "log.pem", quiet=True).strip()
    story.set("SUYUAN_VKEY", vkey)
    story.say(
        "Clients get the log's verifier key from elsewhere, and believe nothing that it does not vouch for."
    )


def register(story: Story) -> None:
    """Who may speak."""
    story.chapter("2  Parties are registered by who answers for them")
    story.run("regulator", "register", PLATFORM, "--role", "platform", "--name", "榕城优选",
              "--public-key", "platform.pem.pub", key="regulator")  # fmt: skip
    story.run("regulator", "register", COURIER, "--role", "courier", "--name", "顺丰速运",
              "--public-key", "courier.pem.pub", "--licence-until", "2099-12-31", key="regulator")  # fmt: skip
    story.run("platform", "register", MERCHANT, "--name", "闽茶坊", "--public-key", "merchant.pem.pub",
              "--licence-until", "2099-03-31", key="platform")  # fmt: skip


def photograph(story: Story) -> None:
    """Labels are drawn, and photographed badly."""
    story.chapter("3  Labels are printed, and photographed as people do")
    at_once(
        lambda label: story.run("label", label[0], "--out", label[1], quiet=True),
        ((TEA, "tea.png"), (CUP, "cup.png"), (f"waybill/sf/{WAYBILL}", "waybill.png")),
    )
    for name, degrees, blur in (("tea", 7, 1.1), ("cup", -5, 0.9), ("waybill", 3, 0.8)):
        with Image.open(story.folder / f"{name}.png") as label:
            grey = label.convert("L")
            photo = Image.new("L", (grey.width + 160, grey.height + 160), 205)
            photo.paste(grey, (80, 80))
            turned = photo.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=205)
            turned.filter(ImageFilter.GaussianBlur(blur)).save(story.folder / f"{name}.jpg", quality=70)
    story.run("scan", "tea.jpg", "cup.jpg", "waybill.jpg",
              expected=(f"01/0{TEA}", f"01/0{CUP}", f"waybill/sf/{WAYBILL}"))  # fmt: skip


def live(story: Story) -> str:
    """From the shelf to the complaint; gives the complaint's event id."""
    story.chapter("4  Two products are listed and sold, and travel in one parcel")
    sales = []
    for name, title, category in (("tea", "茉莉花茶 250 g", "food"), ("cup", "德化白瓷盖碗", "general")):
        story.run(
            "merchant",
            "list",
            f"{name}.jpg",
            "--yes",
            "--title",
            title,
            "--category",
            category,
            key="merchant",
        )
        told = story.run(
            "merchant", "sell", f"{name}.jpg", "--yes", "--token", f"{name}.token", key="merchant"
        )
        sales.append(event_in(told))
    story.set("SUYUAN_PLACE", "350102")
    for sale in sales:
        story.run("merchant", "dispatch", sale, "waybill.jpg", "--yes", key="merchant")

    story.chapter("5  The parcel travels; one courier was offline and reports five hours late")
    story.run("courier", "scan", "picked-up", "waybill.jpg", "--yes", key="courier")
    story.run("courier", "scan", "out-for-delivery", WAYBILL, "--place", "350203", key="courier")
    earlier = (datetime.now().astimezone() - timedelta(hours=5)).isoformat(timespec="seconds")
    story.run("courier", "scan", "in-transit", WAYBILL, "--place", "350500", "--at", earlier, key="courier",
              expected=("flags late, out-of-order",))  # fmt: skip
    story.run("courier", "scan", "delivered", WAYBILL, "--place", "350203", key="courier")

    story.chapter("6  The buyer receives, reviews and complains, without an account or a name")
    for name in ("tea", "cup"):
        story.run("consumer", "receive", "--token", f"{name}.token")
    story.run("consumer", "review", "--token", "tea.token", "--rating", "5", "--text", "香气很正，送得也快。")
    told = story.run("consumer", "complain", "--token", "cup.token", "--category", "damaged", "--remedy",
                     "replacement", "--text", "盖子碎了。")  # fmt: skip
    complaint = event_in(told)
    story.run("merchant", "reply", complaint, "--stance", "accepted", "--resolve", "settled", "--remedy",
              "replacement", key="merchant")  # fmt: skip
    return complaint


def forge(story: Story) -> None:
    """What must be refused."""
    story.chapter("7  Four forgeries are refused, each with its reason, and nothing is recorded")
    story.run("merchant", "list", TEA, "--title", "假茶", "--category", "food", key="stranger",
              status=REFUSED, expected=("UNKNOWN_KEY",))  # fmt: skip
    story.run("merchant", "list", TEA, "--title", "顺丰茶", "--category", "food", key="courier",
              status=REFUSED, expected=("WRONG_ROLE",))  # fmt: skip
    story.run("merchant", "sell", "6901234500004", "--token", "none.token", key="merchant",
              status=REFUSED, expected=("LISTING_MISSING",))  # fmt: skip
    story.run("merchant", "sell", TEA, "--token", "late.token", key="merchant", quiet=True)
    story.run("consumer", "review", "--token", "late.token", "--rating", "1",
              status=REFUSED, expected=("RECEIPT_MISSING",))  # fmt: skip


def look(story: Story) -> None:
    """What everybody can see, with proofs."""
    story.chapter("8  The platform reads the history, and the regulator verifies it")
    story.run("platform", "history", WAYBILL)
    story.run("regulator", "verify", TEA, expected=("VERIFIED",))


def audit(story: Story) -> None:
    """The whole log, trusting nobody."""
    story.chapter("9  The regulator audits the whole log")
    story.run("regulator", "audit", expected=("VERIFIED",))


def tamper(story: Story, complaint: str) -> None:
    """Four lies, each caught."""
    story.chapter("10  Somebody with the database and the log's own key tampers with copies of it")
    story.say(f"The complaint {complaint[:16]}… is to go away.")
    signer = log_signer(story.folder / "log.pem", ORIGIN)

    def caught(numbered: tuple[int, Lie]) -> str:
        number, lie = numbered
        name = f"copy-{number}"
        lie.tell(story.folder / "log.db", story.folder / f"{name}.db", signer)
        with story.service(f"{name}.db", name) as address:
            return story.run("regulator", "audit", status=lie.status, expected=("TAMPERED", *lie.expected), untold=True,
                             SUYUAN_SERVER=address)  # fmt: skip

    told = lies(story.folder / "log.db")
    numbered = tuple(enumerate(told, 1))
    for (number, lie), output in zip(numbered, at_once(caught, numbered), strict=True):
        story.say(f"- {lie.title}")
        story.command(*serve_arguments(f"copy-{number}.db"))
        story.command("regulator", "audit")
        for line in output.splitlines():
            story.say(f"    {line}")


def at_once(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The function over the items, two at a time, in their order."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))


def event_in(output: str) -> str:
    """The event id that a command has printed."""
    found_id = EVENT_ID.search(output)
    if found_id is None:
        raise UnexpectedError(f"no event id in:\n{output}")
    return found_id.group(1)


def _quoted(argument: str) -> str:
    if len(argument) == 64 and argument.isalnum():
        return f"{argument[:12]}…"
    return f"'{argument}'" if " " in argument else argument


def _suyuan(arguments: list[str], folder: Path, environment: dict[str, str], output: str) -> None:
    """What the process of one command does."""
    os.chdir(folder)
    os.environ.update(environment)
    written = os.open(output, os.O_WRONLY)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    sys.exit(suyuan(arguments))


def main() -> int:
    """Tell the story in a temporary folder."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this new folder, and keep it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    PROCESSES.set_forkserver_preload(
        ["clients.sdk", "server.commands", *(f"clients.cli.{n}" for n in PRELOADED)]
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suyuan-demo-") as temporary:
        folder = (arguments.keep or Path(temporary)).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=arguments.keep is None)
        except FileExistsError:
            print(f"--keep {arguments.keep}: given a folder that exists, expected a new one", file=sys.stderr)
            return 2
        story = Story(folder, bold=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
        story.environment = {
            "SUYUAN_STATE": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "NO_COLOR": "1",
            "COLUMNS": "100",
            "PYTHONUTF8": "1",
        }
        try:
            tell(story)
        except UnexpectedError as unexpected:
            print(f"\nNot as told: {unexpected}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopped.", file=sys.stderr)
            return 130
    print(f"\nAll of it came out as told, in {time.monotonic() - started:.0f} s.")
    if arguments.keep:
        print(f"Everything is in {arguments.keep}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
