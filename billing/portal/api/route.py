"""One route of the API: how it is asked, what it needs, what it answers. The table of them serves and describes itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from billing.portal.desk import Portal
from billing.portal.tokens import Caller, Scope

JSON = "application/json"
CSV = "text/csv"
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the address. Parts of the path are always there, those of the query may be left out."""

    name: str
    schema: Schema
    words: str
    example: str | int
    in_path: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent, as JSON."""

    schema: Schema
    example: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What is answered, in one media type."""

    schema: Schema
    example: object
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Asking:
    """A request that was let in."""

    portal: Portal
    now_us: int
    values: Mapping[str, Any]
    """Parameters by name, each as its schema says; those that were left out are not there."""
    body: Mapping[str, Any]
    whose: Caller | None

    @property
    def caller(self) -> Caller:
        """Whose token it came with."""
        assert self.whose is not None, "only what is public is asked without a token"
        return self.whose


@dataclass(frozen=True, slots=True)
class Exactly:
    """An answer that is these very characters."""

    text: str
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Attached:
    """An answer that is a file, sent piece by piece; whoever sends it closes it."""

    file: IO[bytes]
    name: str
    media_type: str


Answer = Mapping[str, Any] | Exactly | Attached


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked."""

    method: str
    path: str
    name: str
    """The operation's own name in the document."""
    tag: str
    summary: str
    handle: Callable[[Asking], Awaitable[Answer]]
    told: tuple[Told, ...]
    scope: Scope | None = None
    """What a token needs; None: any token will do."""
    is_public: bool = False
    """No token is needed."""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    status: int = 200
    is_heavy: bool = False
    """It reads much, so it has a limit of its own."""
    conflicts: bool = False
    """It may be understood and yet not be possible."""
    words: str = field(default="")
    """More about it than the summary says."""

    @property
    def in_path(self) -> tuple[Parameter, ...]:
        """Parameters that stand in the path."""
        return tuple(one for one in self.parameters if one.in_path)

    @property
    def in_query(self) -> tuple[Parameter, ...]:
        """Parameters that stand in the query."""
        return tuple(one for one in self.parameters if not one.in_path)
