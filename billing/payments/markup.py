"""The guarded reader of XML that banks send: a small tree, or a Refusal. Pure.

No DOCTYPE and so no entities; elements and depth are bounded, the caller bounds the size. It knows no document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from meter.refusal import Refusal

ELEMENTS_MAX = 2_000_000
"""Some fifty thousand lines of a statement at forty elements each; a bound of the parser, not a setting."""
DEPTH_MAX = 24


@dataclass(slots=True)
class Node:
    """An element: its name without namespace, its attributes, its text, its children in order."""

    name: str
    attributes: Mapping[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, *path: str) -> list[Node]:
        """Every element at the end of a path of names."""
        found = [self]
        for name in path:
            found = [child for one in found for child in one.children if child.name == name]
        return found

    def first(self, *path: str) -> str:
        """The text of the first element at the end of a path, without blanks around; empty when there is none."""
        found = self.all(*path)
        return found[0].text.strip() if found else ""


def parse(body: bytes, *, what: str) -> tuple[str, Node]:
    """(the root's namespace, the tree). Raises Refusal saying what was read."""
    builder = _Builder(what)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat takes it by place only
    except (expat.ExpatError, ValueError, LookupError):
        # Not well-formed, or in an encoding nobody knows.
        raise Refusal(f"{what} is no XML that can be read") from None
    assert builder.root is not None, "a document that parsed has a root"
    return builder.namespace, builder.root


class _Builder:
    """Gathers expat's events into a tree, within bounds."""

    def __init__(self, what: str) -> None:
        self.root: Node | None = None
        self.namespace = ""
        self._what = what
        self._open: list[Node] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._elements += 1
        if self._elements > ELEMENTS_MAX or len(self._open) >= DEPTH_MAX:
            raise Refusal(
                f"{self._what} has more than {ELEMENTS_MAX} elements, or more than {DEPTH_MAX} in each other"
            )
        node = Node(local, attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root, self.namespace = node, namespace
        self._open.append(node)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        del name, system, public, internal
        raise Refusal(f"{self._what} has a DOCTYPE; a bank's statement has none, so it is not read")
