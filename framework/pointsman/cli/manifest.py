"""``pointsman manifest``: from a source that people write to bytes that people sign, and a look at what others signed.

Works on files alone, and for ``check`` on the local application. What goes to a store is in `releases`.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli.answering import answering, finish, say
from pointsman.cli.options import App, AsJson, Output, RootFile

app = typer.Typer(
    no_args_is_help=True, help="Write, sign, publish and compare signed manifests.", rich_markup_mode=None
)

Source = Annotated[Path, typer.Argument(metavar="FILE", help="A source (YAML or JSON), a payload, or an envelope.")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="The manifest's; it only grows.")]
Epoch = Annotated[int | None, typer.Option("--epoch", min=1, help="The root's.")]
Days = Annotated[float, typer.Option("--days", min=0.001, max=90, help="How long it lives.")]
Service = Annotated[str, typer.Option("--service", help="Of the audience; unsaid: the source's, or the settings'.")]
Environment = Annotated[str, typer.Option("--environment", help="Of the audience; unsaid: as --service.")]


@app.command("init")
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the source.")] = Path("manifest.yml"),
    *,
    service: Service = "",
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Write a source to begin with."""
    with answering(as_json=as_json):
        from pointsman.cli.files import write_new
        from pointsman.cli.packing import audience_of, first_source

        audience = audience_of({}, service, environment)
        write_new(path, first_source(audience).encode())
        say({"path": str(path), "audience": audience}, f"{path}: a source for {audience['service']}", as_json=as_json)


@app.command("convert")
def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A manifest of the predecessor, YAML or JSON.")],
    *,
    output: Output = None,
    version: Version = None,
    epoch: Epoch = None,
    days: Days = 30,
    service: Service = "",
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Say a manifest of the predecessor in our words; its signature is dropped."""
    with answering(as_json=as_json):
        from pointsman.cli.drafts import Life
        from pointsman.cli.packing import converted, written

        heading = {"version": version, "epoch": epoch, "service": service, "environment": environment}
        manifest = converted(source, heading, Life(datetime.now(UTC), days))
        facts = written(manifest, output or source.with_suffix(".json"))
        say(facts, _packed(facts), as_json=as_json)


@app.command("pack")
def pack(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A source, YAML or JSON.")],
    *,
    output: Output = None,
    version: Version = None,
    epoch: Epoch = None,
    days: Days = 30,
    service: Service = "",
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Make the canonical payload of a source: the bytes that are signed."""
    with answering(as_json=as_json):
        from pointsman.cli.drafts import Life
        from pointsman.cli.packing import packed, written

        heading = {"version": version, "epoch": epoch, "service": service, "environment": environment}
        manifest = packed(source, heading, Life(datetime.now(UTC), days))
        facts = written(manifest, output or source.with_suffix(".json"))
        say(facts, _packed(facts), as_json=as_json)


@app.command("check")
def check(source: Source, *, reference: App = "", as_json: AsJson = False) -> None:
    """Judge a manifest as this application's image would: its shape, what it may do, whether all selections hold.

    Makes no instance, and looks at no signature.
    """
    with answering(as_json=as_json):
        from pointsman.cli.packing import checked

        facts = checked(source, reference)
        audience = f"{facts['audience']['service']} in {facts['audience']['environment']}"
        text = f"{source}: manifest {facts['version']} for {audience} would be taken"
        say(facts, text, as_json=as_json)


@app.command("sign")
def sign(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A payload, or an envelope that others signed.")],
    *,
    key: Annotated[list[Path], typer.Option("--key", metavar="FILE", help="A key that signs; may be repeated.")],
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Sign a payload, or add signatures to an envelope; any of the four documents."""
    with answering(as_json=as_json):
        from pointsman.cli.signing import signed

        facts = signed(source, key, output)
        say(facts, f"{facts['path']}: signed by {len(facts['keyids'])}", as_json=as_json)


@app.command("verify")
def verify(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A manifest, a release or a root, in its envelope.")],
    *,
    root: RootFile = None,
    reference: App = "",
    as_json: AsJson = False,
) -> None:
    """Verify signatures, audience, epoch and dates under a trust root: the settings', or --root."""
    with answering(as_json=as_json):
        from pointsman.cli.signing import trust_of, verified

        facts = verified(source, finish(lambda: trust_of(root, reference)), datetime.now(UTC))
        signers = ", ".join(keyid[:12] for keyid in facts["signers"]) or "nobody: unsigned, in development"
        text = f"{source}: {facts['type']} {facts['version']} is {facts['freshness']}, signed by {signers}"
        say(facts, text, as_json=as_json)


@app.command("show")
def show(source: Source, *, as_json: AsJson = False) -> None:
    """Show what a document says, and who claims to have signed it. Nothing is verified."""
    with answering(as_json=as_json):
        from pointsman.cli.signing import shown

        document, text = shown(source)
        say(document, text, as_json=as_json)


@app.command("diff")
def diff(old: Source, new: Source, *, as_json: AsJson = False) -> None:
    """Show what changed from one manifest to another."""
    with answering(as_json=as_json):
        from pointsman.cli.drafts import differences
        from pointsman.cli.files import is_source
        from pointsman.cli.packing import any_manifest

        undated = ("issued_at", "expires") if is_source(old) or is_source(new) else ()
        found = differences(any_manifest(old), any_manifest(new), undated)
        say(found, "\n".join(map(_changed, found)) or "No difference.", as_json=as_json)


def _packed(facts: dict[str, Any]) -> str:
    return f"{facts['path']}: manifest {facts['version']}, {facts['length']} bytes, sha256/{facts['payload_digest']}"


def _changed(change: dict[str, Any]) -> str:
    before, after = change["before"], change["after"]
    lines = [change["path"]]
    lines += [] if before is None else [f"  - {before}"]
    lines += [] if after is None else [f"  + {after}"]
    return "\n".join(lines)
