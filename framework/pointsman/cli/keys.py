"""``pointsman keys``: make signing keys, show them, and say in a root who may sign what.

A seed is written to its file (mode 0600) and shown nowhere; nothing is overwritten.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointsman.cli.answering import answering, note, say
from pointsman.cli.options import AsJson

if TYPE_CHECKING:
    from pointsman.manifests.keys import PublicKey
    from pointsman.manifests.root import TrustRoot

app = typer.Typer(no_args_is_help=True, help="Make keys, and say who may sign what.", rich_markup_mode=None)

_HOLDER = "A key of this role: its file, or its public hex; may be repeated."


@app.command("new")
def new(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Where to write each key.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make an Ed25519 key for each file; no file that exists is touched."""
    with answering(as_json=as_json):
        from pointsman.cli.files import make_folder
        from pointsman.manifests.keys import generate, save_signing_key

        made = []
        for path in paths:
            key = generate()
            make_folder(path.parent)
            save_signing_key(path, key)
            made.append(_facts(path, key.public))
        say(made, "\n".join(_line(each) for each in made), as_json=as_json)


@app.command("show")
def show(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A key, or a trust root.")], *, as_json: AsJson = False
) -> None:
    """Show a key's id and public half, or who may sign what under a root. Never the seed."""
    with answering(as_json=as_json):
        from pointsman.cli.files import read_bytes
        from pointsman.manifests.keys import load_signing_key
        from pointsman.manifests.root import load_root

        data = read_bytes(path)
        if data.lstrip().startswith(b"{"):
            facts = _root_facts(path, load_root(data.strip()))
            say(facts, _root_text(facts), as_json=as_json)
        else:
            key = _facts(path, load_signing_key(path).public)
            say(key, _line(key), as_json=as_json)


@app.command("root")
def root(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the root, in its envelope.")],
    *,
    root_key: Annotated[list[str] | None, typer.Option("--root", metavar="KEY", help=_HOLDER)] = None,
    manifest_key: Annotated[list[str] | None, typer.Option("--manifest", metavar="KEY", help=_HOLDER)] = None,
    release_key: Annotated[list[str] | None, typer.Option("--release", metavar="KEY", help=_HOLDER)] = None,
    control_key: Annotated[list[str] | None, typer.Option("--control", metavar="KEY", help=_HOLDER)] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=N", help="How many of a role's keys must sign; 1 unless said.")
    ] = None,
    service: Annotated[str, typer.Option(help="The service of the audience.")] = "",
    environment: Annotated[str, typer.Option(help="The environment of the audience.")] = "",
    days: Annotated[float, typer.Option(min=1, help="How long the root lives.")] = 365,
    rotate: Annotated[Path | None, typer.Option(metavar="ROOT", help="The root that this one follows.")] = None,
    new_epoch: Annotated[
        bool, typer.Option("--new-epoch", help="With --rotate: nothing signed before counts any more.")
    ] = False,
    sign_with: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A further key that signs: with --rotate one of the old root."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a trust root: the first one, or with --rotate the next.

    Keys of the role `root` that are given as files sign it. Where more must sign, add them with `manifest sign`.
    """
    with answering(as_json=as_json):
        from pointsman.cli.drafts import Life
        from pointsman.cli.rooting import Roles, first_root, next_root, read_root, sign_root

        roles = Roles.read(
            {
                "root": root_key or (),
                "manifest": manifest_key or (),
                "release": release_key or (),
                "control": control_key or (),
            },
            threshold or (),
        )
        life = Life(datetime.now(UTC), days)
        if rotate is None:
            facts = sign_root(path, first_root(roles, (service, environment), life), None, roles, sign_with or ())
        else:
            old, data = read_root(rotate)
            facts = sign_root(path, next_root(old, roles, life, new_epoch=new_epoch), data, roles, sign_with or ())
        if not facts["complete"]:
            note(
                f"Not enough signatures yet: {facts['missing']}\n  Add them: pointsman manifest sign {path} --key FILE"
            )
        say(facts, _written(facts), as_json=as_json)


def _facts(path: Path, key: "PublicKey") -> dict[str, Any]:
    return {"path": str(path), "keyid": key.keyid, "public": str(key)}


def _line(key: dict[str, Any]) -> str:
    return f"{key['path']}\n  keyid   {key['keyid']}\n  public  {key['public']}"


def _root_facts(path: Path, root: "TrustRoot") -> dict[str, Any]:
    return {
        "path": str(path),
        "version": root.version,
        "epoch": root.epoch,
        "audience": {"service": root.audience.service, "environment": root.audience.environment},
        "issued_at": root.issued_at.isoformat(),
        "expires": root.expires.isoformat(),
        "digest": root.digest,
        "roles": {
            name: {"threshold": role.threshold, "keyids": [key.keyid for key in role.keys]}
            for name, role in root.roles.items()
        },
    }


def _root_text(facts: dict[str, Any]) -> str:
    audience = facts["audience"]
    head = f"root {facts['version']} of epoch {facts['epoch']} for {audience['service']} in {audience['environment']}"
    lines = [head, f"  expires   {facts['expires']}"]
    for name, role in facts["roles"].items():
        lines += [f"  {name:<9} {role['threshold']} of {len(role['keyids'])}"]
        lines += [f"            {keyid}" for keyid in role["keyids"]]
    return "\n".join(lines)


def _written(facts: dict[str, Any]) -> str:
    return f"{facts['path']}: root {facts['version']} of epoch {facts['epoch']}, signed by {len(facts['signed_by'])}"
