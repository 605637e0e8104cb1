"""The documents of the admin API as texts for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pointsman.cli.answering import table
from pointsman.declarations import Candidate, parse_component
from pointsman.errors import ConfigurationError, ProviderError
from pointsman.resolution.explanation import Explanation, Ranked

if TYPE_CHECKING:
    from pointsman.cli.desk import Facts

NONE = "–"


def explanation_text(facts: Facts) -> str:
    """Return the tree of an explanation, as ``str()`` of it gives; it may have come from another process.

    Raises:
        ProviderError: It is no explanation.
    """
    try:
        component = parse_component(facts["component"])

        def candidate(provider: str) -> Candidate:
            return Candidate(component.domain, component.key, provider, "")

        def ranked(entries: list[Facts]) -> tuple[Ranked, ...]:
            return tuple(Ranked(candidate(entry["provider"]), tuple(entry["reasons"])) for entry in entries)

        selected = facts["selected"]
        return str(
            Explanation(
                component=component,
                tenant=facts["tenant"],
                selected=None if selected is None else candidate(selected),
                why=facts["why"],
                reasons=tuple(facts["reasons"]),
                shadowed=ranked(facts["shadowed"]),
                ineligible=ranked(facts["ineligible"]),
                decided_by=facts["decided_by"],
                layers=tuple(facts["layers"]),
                catalog_serial=facts["catalog"],
            )
        )
    except (AttributeError, KeyError, TypeError, ConfigurationError) as error:
        raise ProviderError(f"Expected an explanation, found another answer ({type(error).__name__}).") from error


def components_text(rows: list[Facts]) -> str:
    """Return every component with its candidates, the one that serves marked; then who serves which tenant."""
    return "\n".join(map(_component, rows)) or "No component is registered."


def _component(row: Facts) -> str:
    lines = [f"{row['component']} → {row['selected'] or 'nothing'}"]
    lines.append(
        table(
            [
                (
                    "*" if entry["provider"] == row["selected"] else " ",
                    entry["provider"],
                    f"priority {entry['priority']}",
                    f"level {entry['stack_level']}",
                    entry["source"],
                    entry["lifetime"],
                    ", ".join(entry["capabilities"]),
                )
                for entry in row["candidates"]
            ],
            indent="  ",
        )
    )
    others = {tenant: serves for tenant, serves in row.get("tenants", {}).items() if serves != row["selected"]}
    lines += [f"    {tenant} → {serves or 'nothing'}" for tenant, serves in others.items()]
    return "\n".join(lines)


def health_text(facts: Facts) -> str:
    """Return how a replica and everything that lives in it are."""
    words = [
        "ready" if facts["ready"] else "not ready",
        "fresh" if facts["fresh"] else "stale",
        "degraded" if facts["degraded"] else "healthy",
    ]
    return "\n".join([", ".join(words), *_instances(facts["components"])])


def _instances(rows: list[Facts]) -> list[str]:
    if not rows:
        return ["  nothing is live"]
    cells = [
        (
            row["component"],
            str(row["provider"]),
            row["tenant"] or NONE,
            row["state"],
            f"{row['leases']} leases",
            _said(row["health"]),
            row["last_error"] or "",
        )
        for row in rows
    ]
    return [table(cells, indent="  ")]


def _said(health: bool | None) -> str:
    return {None: "not asked", True: "well", False: "not well"}[health]


def status_text(facts: Facts) -> str:
    """Return the manifest and the head in force, what was refused, and what lives."""
    manifest, head = facts["in_force"], facts["head"]
    lines = [
        f"manifest  {manifest['version']} ({manifest['digest'][:12]}), until {manifest['expires']}"
        if manifest
        else f"manifest  {NONE}",
        f"head      {head['seq']} (s{head['cseq']}), {facts['freshness']}" if head else f"head      {NONE}",
    ]
    lines += [
        f"refused   manifest {refusal['version'] or 'of the image'}: [{refusal['error']}] {refusal['message']}"
        for refusal in facts["refusals"]
    ]
    lines += [f"problem   {problem}" for problem in facts.get("problems", ())]
    return "\n".join([*lines, f"replica   {health_text(facts)}"])


def activity_text(rows: list[Facts]) -> str:
    """Return every pause and drain."""
    cells = [
        (
            row["component"],
            row["activity"],
            "everyone" if row["tenant"] == "*" else row["tenant"],
            f"until {row['until']}" if row["until"] else "until resumed",
            row["operation"],
        )
        for row in rows
    ]
    return table(cells) if cells else "Everything is active."


def outcome_text(facts: Facts, *, dry_run: bool) -> str:
    """Return what came of an order."""
    lines = [
        f"{change['component']} for {'everyone' if change['tenant'] == '*' else change['tenant']}: "
        f"{change['before'] or NONE} → {change['after'] or NONE}"
        for change in facts["changes"]
    ]
    if dry_run:
        return "\n".join([*lines, "Nothing was changed: a rehearsal."])
    bound = "" if facts["bound_s"] is None else f", every replica within {facts['bound_s']:g} s"
    return "\n".join([*lines, f"s{facts['cseq']}, {facts['local']} here{bound}; operation {facts['operation']}"])


def plugins_text(rows: list[dict[str, Any]]) -> str:
    """Return every entry point with what it brought, or why it could not be read."""
    cells = [
        (row["group"], row["name"], row["package"], row["reference"], row["error"] or ", ".join(row["candidates"]))
        for row in rows
    ]
    return table(cells) if cells else "No installed package brings candidates."
