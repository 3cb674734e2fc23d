"""`suyuan regulator watch URL`: follows a log for ever, and raises the alarm at the first violation.

What is no violation: a log that does not answer, and one that does not show a file yet. Both are asked again, ever
more seldom; a file that stays missing is a violation in the end.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import urllib3

from clients.cli.distant import Audited, audit_once
from clients.cli.output import error_record, local_text, note, redacted, shown, utc_text
from clients.cli.session import Session
from clients.cli.status import Status, status_of
from clients.cli.stopping import Stopped, stoppable
from ledger.errors import BadInput, LedgerError, Reason, ServiceFault

LONGEST_PAUSE_S: Final = 300
"""How seldom a log that does not answer is asked again, unless the interval is longer."""

MISSING_ROUNDS: Final = 5
"""Audits in a row that may find a file missing."""

_TRIES: Final = 4
_FIRST_PAUSE_S: Final = 0.5
_COMMAND_S: Final = 60.0
_STANDARD_ERROR: Final = 2  # results go to standard output, and the command has none


class Alarm:
    """Whom to tell of a violation."""

    def __init__(self, webhook: str | None, command: str | None, *, timeout_s: float) -> None:
        """Prepare to tell.

        Args:
            webhook: an address to POST to; it may hold a secret and is never shown.
            command: a command line, as a shell would split it.
            timeout_s: how long the webhook may take to answer.

        Raises:
            BadInput: `INVALID_REQUEST` if the address is none, or the command cannot be split.
        """
        if webhook is not None and not webhook.startswith(("http://", "https://")):
            raise BadInput(
                Reason.INVALID_REQUEST, "--webhook", given="another address", expected="http://… or https://…"
            )
        try:
            self._command = shlex.split(command) if command else []
        except ValueError as error:
            raise BadInput(
                Reason.INVALID_REQUEST, "--command", given=str(error), expected="a command line"
            ) from error
        self._webhook = webhook
        self._timeout_s = timeout_s

    def raise_(self, alert: Mapping[str, Any]) -> None:
        """Tell all; what cannot be told is said on standard error."""
        body = redacted(json.dumps(alert)).encode()
        if self._webhook is not None:
            self._post(self._webhook, body)
        if self._command:
            self._run(body)

    def _post(self, webhook: str, body: bytes) -> None:
        pause_s = _FIRST_PAUSE_S
        said = ""
        with urllib3.PoolManager() as pool:
            for number in range(_TRIES):
                if number:
                    time.sleep(pause_s)
                    pause_s *= 2
                try:
                    answer = pool.request(
                        "POST",
                        webhook,
                        body=body,
                        headers={"Content-Type": "application/json", "User-Agent": "suyuan"},
                        timeout=self._timeout_s,
                        retries=False,
                        redirect=False,
                        preload_content=False,
                    )
                    # Its status is all that matters, however much it has to say.
                    answer.close()
                except urllib3.exceptions.HTTPError as error:
                    said = type(error).__name__
                    continue
                if answer.status < 300:
                    return
                said = f"HTTP status {answer.status}"
                if answer.status < 500 and answer.status != 429:
                    break
        note(f"The alert could not be posted to the webhook: {said}")

    def _run(self, body: bytes) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command, split and not given to a shell
                self._command, input=body, stdout=_STANDARD_ERROR, timeout=_COMMAND_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            note(f"The command could not be told of the alert: {shown(str(error))}")
            return
        if done.returncode:
            note(f"The command that was told of the alert ended with status {done.returncode}")


class _Silence:
    """How long a log has shown nothing new; tells once for each silence."""

    def __init__(self, most_s: float | None, tell: Callable[[ServiceFault], None]) -> None:
        self._most_s = most_s
        self._tell = tell
        self._due: float | None = None
        self.end()

    def end(self) -> None:
        """The log has shown something new."""
        self._due = None if self._most_s is None else time.monotonic() + self._most_s

    def rest(self, pause_s: float) -> None:
        """Wait, and tell of a silence that has become too long by then when it has."""
        until = time.monotonic() + pause_s
        if self._due is not None and self._due <= until:
            time.sleep(max(self._due - time.monotonic(), 0))
            self._due = None
            self._tell(
                ServiceFault(
                    Reason.UNREACHABLE,
                    "the log's checkpoint",
                    given=f"none that is larger in the last {self._most_s:g} s",
                    expected=f"one at least every {self._most_s:g} s (--max-silence)",
                )
            )
        time.sleep(max(until - time.monotonic(), 0))


def watch(
    session: Session,
    url: str,
    *,
    interval_s: float,
    alarm: Alarm,
    jobs: int | None,
    max_silence_s: float | None = None,
) -> Status:
    """Follow the log until something does not hold, or somebody ends it; returns the exit status.

    Args:
        session: whom to believe.
        url: where the tiles are.
        interval_s: how often to look.
        alarm: whom to tell.
        jobs: as in `clients.cli.distant.audit`.
        max_silence_s: after how long without a larger checkpoint the alarm is raised too; None: never.

    Raises:
        BadInput: the URL or the memory cannot be used.
    """

    def tell_silence(fault: ServiceFault) -> None:
        note(shown(str(fault)))
        alarm.raise_({**_about(session, url, Status.UNREACHABLE), "error": error_record(fault)})

    silence = _Silence(max_silence_s, tell_silence)
    try:
        with stoppable():
            return _follow(session, url, interval_s=interval_s, alarm=alarm, jobs=jobs, silence=silence)
    except Stopped:
        return Status.OK


def _follow(
    session: Session, url: str, *, interval_s: float, alarm: Alarm, jobs: int | None, silence: _Silence
) -> Status:
    pause_s = interval_s
    size, missing = -1, 0
    while True:
        try:
            with session.out.progress("Auditing") as progress:
                audited = audit_once(session, url, (), jobs=jobs, progress=progress)
        except ServiceFault as fault:
            note(f"{shown(str(fault))}; asking again in {pause_s:g} s")
            silence.rest(pause_s)
            pause_s = max(interval_s, min(2 * pause_s, LONGEST_PAUSE_S))
            continue
        except LedgerError as error:
            if isinstance(error, BadInput):
                raise
            status = status_of(error)
            alarm.raise_({**_about(session, url, status), "error": error_record(error)})
            raise
        missing = missing + 1 if audited.is_missing else 0
        if audited.is_missing and missing < MISSING_ROUNDS:
            note(f"{shown(audited.report.findings[-1].message)}; asking again in {pause_s:g} s")
            silence.rest(pause_s)
            pause_s = max(interval_s, min(2 * pause_s, LONGEST_PAUSE_S))
            continue
        pause_s = interval_s
        if not audited.report.verified:
            alarm.raise_({**_about(session, url, audited.status), "report": audited.record()})
            session.out.result(audited.record(), audited.lines())
            return audited.status
        if audited.report.size != size:
            size = audited.report.size
            _tell(session, audited)
            silence.end()
        silence.rest(interval_s)


def _about(session: Session, url: str, status: Status) -> dict[str, Any]:
    return {"origin": session.origin, "url": url, "at": utc_text(_now_us()), "status": int(status)}


def _tell(session: Session, audited: Audited) -> None:
    """A line for a new checkpoint."""
    report, at_us = audited.report, _now_us()
    new = report.size - audited.begun_at
    session.out.result(
        {
            "verified": True,
            "at": utc_text(at_us),
            "origin": report.origin,
            "entries": report.size,
            "new_entries": new,
            "root": report.root.hex(),
        },
        [
            f"{local_text(at_us)}  VERIFIED  {report.origin}  {report.size} entries, {new} new, root {report.root.hex()}"
        ],
    )


def _now_us() -> int:
    return time.time_ns() // 1_000
