"""The guarded reader of XML that clients send: a small tree, or MalformedXML.

No DOCTYPE and so no entities; elements and depth are bounded, the caller bounds the size. It knows no document.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from xml.parsers import expat

from gateway.errors import S3Error, s3_error
from gateway.markup import NAMESPACE

ELEMENTS_MAX = 100_000
"""Ten thousand parts of five elements each fit twice; a bound of the parser, not a setting."""
DEPTH_MAX = 8


@dataclass(slots=True)
class Node:
    """An element: its name without namespace, its text, its children in order."""

    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> list[Node]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def one(self, name: str) -> str | None:
        """The text of the only child of that name; None when there is none."""
        found = self.child(name)
        return None if found is None else found.text

    def child(self, name: str) -> Node | None:
        """The only child of that name; None when there is none. Raises MalformedXML for more."""
        found = self.all(name)
        if len(found) > 1:
            raise malformed()
        return found[0] if found else None

    def holds_only(self, *names: str) -> None:
        """Raises MalformedXML for any other child: what we would not carry out must not be passed over."""
        if any(child.name not in names for child in self.children):
            raise malformed()


def parse_tree(body: bytes, root_name: str) -> Node:
    """The document's tree, names without namespace. Raises MalformedXML."""
    root = parse_any_tree(body, (NAMESPACE,))
    if root.name != root_name:
        raise malformed()
    return root


def parse_any_tree(body: bytes, namespaces: Container[str]) -> Node:
    """The same, whatever the root's name, with elements of these namespaces and of none."""
    builder = _Builder(namespaces)
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
        raise malformed() from None
    if builder.root is None:
        raise malformed()
    return builder.root


def malformed() -> S3Error:
    """What is raised for every document that is not as expected."""
    return s3_error("MalformedXML")


def parse_boolean(text: str | None) -> bool:
    """An xs:boolean in any case; absent is false. Raises MalformedXML."""
    match (text or "false").strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise malformed()


class _Builder:
    """Gathers expat's events into a tree, within bounds."""

    def __init__(self, namespaces: Container[str]) -> None:
        self.root: Node | None = None
        self._namespaces = namespaces
        self._open: list[Node] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        namespace, _, local = name.rpartition(" ")
        self._elements += 1
        is_ours = not namespace or namespace in self._namespaces
        if not is_ours or self._elements > ELEMENTS_MAX or len(self._open) >= DEPTH_MAX:
            raise malformed()
        node = Node(local)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        del name, system, public, internal
        raise malformed()
