"""Text with blanks: ``${env:NAME}``, ``${secret:NAME}`` and ``${tenant}``, filled in exactly once.

Pure but for the secrets that `render` is handed. What was filled in is never read for blanks again, and no message
shows a text, since a text may be a secret; blanks stand in values only, never in the keys of a mapping. ``${$}``
writes a literal ``$``, so ``${$}{tenant}`` is the text ``${tenant}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import Protocol, TypeAlias, TypeVar, cast

from pointsman.errors import ConfigurationError
from pointsman.patterns import late_pattern
from pointsman.values import frozen

V = TypeVar("V")
Path: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead from a value to a part of it."""

_BLANK = late_pattern(
    r"\$\{(?:env:(?P<env>[A-Za-z_][A-Za-z0-9_]{0,127})"
    r"|secret:(?P<secret>[A-Za-z0-9_.][A-Za-z0-9_./@-]{0,254})"
    r"|(?P<tenant>tenant)|(?P<dollar>\$))\}",
    re.ASCII,
)
_KIND = late_pattern(r"\$\{([a-z]{1,12})", re.ASCII)
_FORMS = "Write ${env:NAME}, ${secret:NAME} or ${tenant}; ${$}{ writes a literal ${."


class Kind(StrEnum):
    """What a blank is filled from."""

    ENV = "env"
    SECRET = "secret"  # noqa: S105 - the word in the blank
    TENANT = "tenant"


@frozen
class Reference:
    """One blank. ``name`` is empty for the tenant."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"${{{self.kind}:{self.name}}}" if self.name else f"${{{self.kind}}}"


class SecretSource(Protocol):
    """Where `render` gets secrets from."""

    async def get(self, name: str) -> str:
        """Return the current value of a secret; `LookupError` when there is none of this name."""
        ...


@frozen
class Template:
    """A text that was read for blanks. ``str()`` is its canonical form, which parses to an equal template.

    Attributes:
        parts: Literal texts and blanks in order; literals are never empty and never adjacent.
    """

    parts: tuple[str | Reference, ...] = ()

    @property
    def references(self) -> tuple[Reference, ...]:
        """The blanks in order, each once."""
        return tuple(dict.fromkeys(part for part in self.parts if isinstance(part, Reference)))

    @property
    def whole(self) -> Reference | None:
        """The blank that is the whole text, where nothing stands beside it."""
        match self.parts:
            case [Reference() as only]:
                return only
            case _:
                return None

    def fill(self, values: Mapping[Reference, str]) -> Template:
        """Return the template with the given blanks turned into literals; others stay."""
        return Template(_joined(values.get(part, part) if isinstance(part, Reference) else part for part in self.parts))

    @property
    def text(self) -> str:
        """The literal text of a template without blanks."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def __str__(self) -> str:
        return "".join(str(part) if isinstance(part, Reference) else part.replace("${", "${$}{") for part in self.parts)


def parse_template(text: str, where: str = "") -> Template:
    """Return the blanks and literals of a text.

    Args:
        text: Any text; a ``$`` that no ``{`` follows is itself.
        where: What is read, for the message.

    Raises:
        ConfigurationError: A ``${`` opens none of the known blanks.
    """
    if "${" not in text:
        return Template((text,) if text else ())
    parts: list[str | Reference] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        found = _BLANK.match(text, start)
        if found is None:
            raise _malformed(text, start, where)
        parts.append(text[at:start])
        kind = cast("str", found.lastgroup)
        parts.append("$" if kind == "dollar" else Reference(Kind(kind), "" if kind == "tenant" else found[kind]))
        at = found.end()
    parts.append(text[at:])
    return Template(_joined(parts))


def references(value: object, where: str = "") -> tuple[Reference, ...]:
    """Return every blank in a value, however deep, each once and in order of appearance.

    Raises:
        ConfigurationError: A text in it is malformed.
    """
    found = (parse_template(text, _place(where, path)).references for path, text in walk(value))
    return tuple(dict.fromkeys(reference for some in found for reference in some))


def check_references(value: object, *, allowed: Collection[Kind], where: str) -> None:
    """Refuse malformed blanks, and blanks of another kind than allowed.

    Raises:
        ConfigurationError: There is one; names the place and the blank, never the text.
    """
    for path, text in walk(value):
        for reference in parse_template(text, _place(where, path)).references:
            if reference.kind not in allowed:
                kinds = ", ".join(f"${{{kind}}}" if kind is Kind.TENANT else f"${{{kind}:}}" for kind in allowed)
                raise ConfigurationError(f"{_place(where, path)}: expected no blank but {kinds}, found {reference}.")


def expand(value: V, *, env: Mapping[str, str], where: str = "") -> V:
    """Return the value, shape kept, with ``${env:NAME}`` filled in; no other blank is allowed in it.

    Raises:
        ConfigurationError: A variable is not set, a blank is malformed or of another kind.
    """
    check_references(value, allowed=(Kind.ENV,), where=where)
    filled = {reference: _variable(reference, env, where) for reference in references(value, where)}
    return map_text(value, lambda text, _: parse_template(text).fill(filled).text)


def bind_tenant(value: V, tenant: str | None, *, where: str = "") -> V:
    """Return the value with ``${tenant}`` filled in and every other blank kept.

    The result is still a template: what was filled in is quoted, so that a tenant's name is never read for blanks.

    Raises:
        ConfigurationError: The tenant is asked for, and there is none.
    """
    blank = Reference(Kind.TENANT)
    if blank not in references(value, where):
        return value
    if tenant is None:
        raise ConfigurationError(
            f"{where or 'settings'}: expected a tenant for ${{tenant}}, found none.",
            hint="Ask for the component with a tenant, or give tenants settings of their own.",
        )
    return map_text(value, lambda text, _: str(parse_template(text).fill({blank: tenant})))


async def render(
    value: V, *, env: Mapping[str, str], secrets: SecretSource | None, tenant: str | None, where: str = ""
) -> V:
    """Return the value, shape kept, with every blank in its texts filled in; each secret is read once.

    Args:
        value: Any nesting of mappings, lists, tuples, texts and other values.
        env: Variables for ``${env:NAME}``.
        secrets: Source for ``${secret:NAME}``; ``None`` where secrets may not be used.
        tenant: For ``${tenant}``; ``None`` where there is none.
        where: What is rendered, for messages: ``adapter/cache/redis``.

    Raises:
        ConfigurationError: A variable, a secret or the tenant is missing, or a blank is malformed. What else the
            source raises passes through.
    """
    bound = bind_tenant(value, tenant, where=where)
    filled: dict[Reference, str] = {}
    for reference in references(bound, where):
        if reference.kind is Kind.ENV:
            filled[reference] = _variable(reference, env, where)
        else:
            filled[reference] = await _secret(reference, secrets, where)
    return map_text(bound, lambda text, _: parse_template(text).fill(filled).text)


def walk(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text in a value, however deep, with the path that leads to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from walk(inner, (*path, index))


def map_text(value: V, change: Callable[[str, Path], object]) -> V:
    """Return the value, shape kept, with every text replaced by what ``change(text, path)`` says."""
    return cast("V", _mapped(value, change, ()))


def _mapped(value: object, change: Callable[[str, Path], object], path: Path) -> object:
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, Mapping):
        return {key: _mapped(inner, change, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change, (*path, index)) for index, inner in enumerate(value)]
    if isinstance(value, tuple):
        return tuple(_mapped(inner, change, (*path, index)) for index, inner in enumerate(value))
    return value


def _joined(parts: Collection[str | Reference] | Iterator[str | Reference]) -> tuple[str | Reference, ...]:
    """Return the parts without empty literals, neighbours made one."""
    joined: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


def _place(where: str, path: Path) -> str:
    inner = ".".join(map(str, path))
    return ": ".join(part for part in (where, inner) if part) or "settings"


def _variable(reference: Reference, env: Mapping[str, str], where: str) -> str:
    try:
        return env[reference.name]
    except KeyError:
        raise ConfigurationError(
            f"{where or 'settings'}: expected environment variable {reference.name}, found that it is not set.",
            hint=f"Set {reference.name}, or take {reference} out.",
        ) from None


async def _secret(reference: Reference, secrets: SecretSource | None, where: str) -> str:
    if secrets is None:
        raise ConfigurationError(f"{where or 'settings'}: expected no blank but ${{env:}}, found {reference}.")
    try:
        return await secrets.get(reference.name)
    except LookupError as error:
        raise ConfigurationError(
            f"{where or 'settings'}: expected secret {reference.name}, found that the secrets component has none.",
            hint=f"Store {reference.name}, or take {reference} out.",
        ) from error


def _malformed(text: str, start: int, where: str) -> ConfigurationError:
    """Return the refusal of one blank; it tells the position, and no character of the text."""
    import difflib  # for a mistake

    word = _KIND.match(text, start)
    close = difflib.get_close_matches(word[1], list(Kind), n=1) if word else []
    hint = f"Did you mean ${{{close[0]}{'' if close[0] == Kind.TENANT else ':NAME'}}}? {_FORMS}" if close else _FORMS
    return ConfigurationError(
        f"{where or 'settings'}: expected a blank at character {start + 1}, found an unknown one.", hint=hint
    )
