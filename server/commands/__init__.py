"""`suyuan operator`: making, serving and looking after a log.

The command line finds this app through the entry-point group `suyuan.commands`.
"""

from __future__ import annotations

import typer

from server.commands import backing_up, care, making, migrating, serving

app = typer.Typer(
    name="operator",
    help="Make, serve and look after a log: `init`, then `serve`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command()(making.init)
app.command("serve")(serving.serve_command)
app.command("serve-http")(serving.serve_http_command)
app.command("rebuild")(care.rebuild_command)
app.command("check")(care.check_command)
app.command("backup")(backing_up.backup_command)
app.command("restore")(backing_up.restore_command)
app.command("migrate")(migrating.migrate_command)
app.command()(making.vkey)
app.command()(care.witnesses)
