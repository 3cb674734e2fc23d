"""`python -m server`: the operator's commands without the rest of the command line."""

import sys

from ledger.errors import LedgerError
from server.commands import app

try:
    app(prog_name="suyuan operator")
except LedgerError as error:
    sys.exit(f"error: {error} [{error.reason}]")
