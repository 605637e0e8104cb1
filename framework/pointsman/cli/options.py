"""The options that several commands share, declared once: one name, one meaning, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
App: TypeAlias = Annotated[
    str,
    typer.Option(
        "--app",
        metavar="MODULE:NAME",
        help="The application; unsaid: app.main:app, where there is one.",
    ),
]
Url: TypeAlias = Annotated[
    str,
    typer.Option("--url", metavar="URL", envvar="POINTSMAN_URL", help="Ask this running service instead."),
]
Token: TypeAlias = Annotated[
    str,
    typer.Option("--token", metavar="TOKEN", envvar="POINTSMAN_TOKEN", help="The operator's token, with --url."),
]
Named: TypeAlias = Annotated[
    str, typer.Argument(metavar="COMPONENT", help="domain/key, such as adapter/cache; or the key, with --domain.")
]
Domain: TypeAlias = Annotated[str, typer.Option("--domain", metavar="DOMAIN", help="The domain of a bare key.")]
Tenant: TypeAlias = Annotated[str | None, typer.Option("--tenant", metavar="TENANT", help="For this tenant.")]
Tenants: TypeAlias = Annotated[
    list[str] | None, typer.Option("--tenant", metavar="TENANT", help="For this tenant alone; may be repeated.")
]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the audit keeps it.")]
Ttl: TypeAlias = Annotated[
    float | None, typer.Option("--ttl", metavar="SECONDS", help="The order ends by itself after so many seconds.")
]
Reach: TypeAlias = Annotated[
    str, typer.Option("--reach", metavar="fleet|replica", help="Every replica, or with --url the one that answers.")
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Do everything but write, and say what would change.")
]
IfMatch: TypeAlias = Annotated[
    str | None, typer.Option("--if-match", metavar="sN", help="Refuse what moved since command N; * insists.")
]
IdempotencyKey: TypeAlias = Annotated[
    str | None, typer.Option("--idempotency-key", metavar="KEY", help="Names the command across tries.")
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; unsaid: beside the input.")
]
RootFile: TypeAlias = Annotated[
    Path | None, typer.Option("--root", metavar="FILE", help="The trust root; unsaid: the settings'.")
]
StoreUrl: TypeAlias = Annotated[
    str, typer.Option("--store", metavar="URL", help="file://, gs:// or https://; unsaid: the settings'.")
]
