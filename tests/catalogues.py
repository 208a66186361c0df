"""The catalogues of translations brought up to what the templates and the code say: `make catalogues`.

Sentences are found in four places: what templates mark, what code hands to `_`, `many` or `pieces`, the constants that
CONSTANTS names, and finished sentences (PHRASES: refusals, steps of a closing, checks, acts in the log) that are told
again by what they are made of. A place of the last kind is named after the expression that fills it. What of `deploy` is
told is the acts of its commands.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from billing.acts.act import OFFICE_WORDS
from billing.tongue import CATALOGUES, LANGUAGES, NUMBER, SOURCE
from tests.rule_words import of_rules

ROOT = Path(__file__).parents[1]
NOT_FOR_MEMBERS = {"register.html"}
"""Templates that are no page of the portal."""
CONSTANTS = {
    "billing/acts/act.py": ("OFFICE_WORDS",),
    "billing/charges/tariff.py": ("WORDS", "UNITS"),
    "billing/founding/clauses.py": ("BY", "INTEREST", "LEVIES", "REST"),
    "billing/register/forms.py": ("HEADINGS", "PARTS", "STEPS", "_PROPERTY_WORDS"),
    "billing/portal/board_pages.py": ("HEADINGS",),
    "billing/portal/books.py": ("HEADINGS", "SECTIONS", "_WORDS"),
    "billing/portal/account.py": ("NOT_ACCEPTED", "NOT_ANSWERING"),
    "billing/portal/entry.py": ("WAY_WORDS", "HAPPENED_WORDS"),
    "billing/portal/pool_pages.py": ("EXAMPLES",),
    "billing/portal/passkey.py": ("NOT_ACCEPTED",),
    "billing/portal/passkey_acts.py": ("STALE",),
    "billing/portal/coop_pages.py": ("TOPICS",),
    "billing/portal/coop_told.py": ("STANDING",),
    "billing/portal/keys.py": ("EXPIRIES", "OVERLAPS"),
    "billing/portal/overview.py": ("KEPT_WORDS",),
    "billing/portal/proposals.py": ("KINDS",),
    "billing/portal/requests.py": ("FILTERS", "MARKS"),
    "billing/portal/tokens.py": ("EXPIRIES", "SCOPE_WORDS"),
    "billing/portal/treasury.py": ("REPORTS",),
    "billing/portal/typed.py": ("LABELS",),
    "billing/portal/usage.py": ("ZONE_WORDS",),
    "billing/prices/comparison.py": ("NOT_COMPARED",),
    "billing/notices/notice.py": ("NOT_A_BILL",),
    "billing/statements/year_paper.py": ("CAME_IN",),
    "billing/year_losses.py": ("NOT_MEMBERS", "BEARERS"),
}
ENUMS = {
    "billing/portal/usage.py": ("By",),
    "billing/governance/decisions.py": ("Body", "Delivery"),
    "meter/usage.py": ("MemberClass",),
    "billing/capital/lots.py": ("Kind",),
}
REFUSALS = (
    "Refusal",
    "NotFound",
    "NotThisPasskey",
    "BadSize",
    "TooMuchToSearch",
    "HTTPTooManyRequests",
    "NoBundle",
    "BundlerBusy",
)
REFUSING = (
    "billing/portal/*.py", "billing/voting/poll.py", "billing/voting/proposal.py", "billing/voting/run.py",
    "billing/governance/decisions.py", "billing/governance/majorities.py", "billing/governance/typed.py", "billing/register/particulars.py", "billing/run.py", "billing/year_run.py", "billing/year_gather.py", "billing/year/fiscal.py",
    "billing/statements/pdf.py", "billing/payments/ordering.py", "billing/costs/costing.py", "billing/costs/invoices.py", "billing/costs/pools.py",
    "billing/costs/run.py", "billing/costs/variance.py", "billing/money.py", "billing/acts/run.py", "meter/sizes.py", "meter/caps.py", "meter/requests.py", "meter/window.py",
)  # fmt: skip
"""Whose refusals a member can come to see in the portal."""
PHRASES = {
    "billing/voting/count.py": ("outcome",),
    "billing/voting/election.py": ("elect",),
    "billing/rules/voting.py": ("words",),
    "billing/voting/document.py": ("_of_the_box", "_of_the_paper"),
    "billing/year/loss.py": ("_members_formula",),
    "billing/year/form.py": ("say_settled", "say_cash"),
    "billing/costs/costing.py": ("booked_words",),
    "billing/run.py": ("closed_words",),
    "billing/portal/treasurer_pages.py": ("_why_not", "_unsummed", "_close"),
    "deploy/commands/audit.py": ("_words",),
}
"""Functions all of whose sentences are told."""
CHECKS = (
    ("Check", "billing/month/closing.py"),
    ("Proof", "billing/ledger/reports.py"),
    ("YearCheck", "billing/year/checks.py"),
)
"""What a sum that is worked out in two ways is made by; its first words are told."""
ACTS = ("as_treasurer", "as_operator", "as_board")
"""What a command calls to say, first, what it does in an office."""
MORE = (
    "(unchecked)", "Members", "Investment shares", "no law's form: everything there is", "the other classes", "the reserve", "surplus", "rest", "revenue", "hours", "voluntary reserve", "internet",
    "peering", "own", "Bad Request",
    "pool of class user", "pool of class worker", "pool of class supporter", "class user does not share",
    "class worker does not share", "class supporter does not share", "to the voluntary reserve, as resolved",
    "the command line ({user})", "book the invoice", "give the credit", "book the income", "amount", "memo", "supplier", "dated", "reason", "key: weight",
    "no tariff is in force in {month}; set one with `weir tariff set FILE`", "Of this sent: corrections", "Of this received: corrections", "Removed, not charged", "bytes",
)  # fmt: skip
"""Single words that code puts into such sentences, or takes from a library."""


class Found(NamedTuple):
    """A sentence and where it stands; plural: with another for many."""

    message: str | tuple[str, str]
    place: str
    line: int


def template() -> Catalog:
    """All there is to translate."""
    made = Catalog(project="Weir", charset="utf-8", header_comment="# Weir's sentences.")
    for one in sorted(everything(), key=lambda found: (found.place, found.line)):
        known = made.get(one.message[0] if isinstance(one.message, tuple) else one.message)
        if known is None or not known.pluralizable:
            made.add(one.message, locations=[(one.place, 0)])
    return made


def everything() -> Iterator[Found]:
    """Every sentence in every place."""
    yield from of_templates()
    yield from of_code()
    for told, place in of_rules():
        yield Found(told, place, 0)
    for path in sorted(ROOT.joinpath("billing/prices").glob("*.toml")):
        yield Found(tomllib.loads(path.read_text("utf-8"))["region"], _name(path), 0)
    for client in tomllib.loads(ROOT.joinpath("billing/portal/clients.toml").read_text("utf-8"))["client"]:
        if client["where"]:
            yield Found(client["where"].replace("`", ""), "billing/portal/clients.toml", 0)
    for word in MORE:
        yield Found(word, "tests/catalogues.py", 0)


def of_templates() -> Iterator[Found]:
    """What templates mark."""
    for path in sorted(ROOT.joinpath("billing/templates").glob("*.html")):
        if path.name in NOT_FOR_MEMBERS:
            continue
        options = {
            "trimmed": "true",
            "newstyle_gettext": "true",
            "trim_blocks": "true",
            "lstrip_blocks": "true",
        }
        with path.open("rb") as file:
            for line, _function, message, _comments in babel_extract(
                file, ("_", "gettext", "ngettext"), [], options
            ):
                told = [
                    one for one in (message if isinstance(message, tuple) else (message,)) if one is not None
                ]
                if told:
                    yield Found((told[0], told[1]) if len(told) > 1 else told[0], _name(path), line)


def of_code() -> Iterator[Found]:
    """What code marks, its named constants, and its finished sentences."""
    refusing = {path for pattern in REFUSING for path in ROOT.glob(pattern)}
    for path in sorted(
        one for room in ("billing", "meter", "deploy") for one in ROOT.glob(f"{room}/**/*.py")
    ):
        name, tree = _name(path), ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            yield from _of_acts(node, name)
            if isinstance(node, ast.Call) and not name.startswith("deploy/"):
                yield from _of_call(node, name, refuses=path in refusing)
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                yield from _of_assignment(node, name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in PHRASES.get(
                name, ()
            ):
                for inner in node.body[1:] if ast.get_docstring(node) else node.body:
                    for told in _sentences_within(inner):
                        yield Found(told, name, node.lineno)
            elif isinstance(node, ast.ClassDef) and node.name in ENUMS.get(name, ()):
                for inner in node.body:
                    if isinstance(inner, ast.Assign) and isinstance(inner.value, ast.Constant):
                        yield Found(str(inner.value.value), name, inner.lineno)


def _of_acts(node: ast.AST, name: str) -> Iterator[Found]:
    """What is done in an office: as it begins, and told better when it is done."""
    said: list[ast.expr] = []
    if isinstance(node, ast.Call):
        called = getattr(node.func, "id", "")
        said = node.args[2:3] if called == "Doing" else node.args[:1] if called in ACTS else []
    elif isinstance(node, ast.Assign):
        target, value = node.targets[0], node.value
        pairs = (
            zip(target.elts, value.elts, strict=True)
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            else [(target, value)]
        )
        is_pages = name.startswith("billing/portal/") and name.endswith("_pages.py")
        said = [
            value
            for target, value in pairs
            if (isinstance(target, ast.Attribute) and target.attr == "what")
            or (is_pages and isinstance(target, ast.Name) and target.id == "what")
        ]
    for one in said:
        yield from (Found(told, name, one.lineno) for told in sentences(one))


def _of_call(node: ast.Call, name: str, *, refuses: bool) -> Iterator[Found]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "billing/tongue.py":
        return
    if called in ("_", "pieces") and node.args and isinstance(node.args[0], ast.Constant):
        yield Found(str(node.args[0].value), name, node.lineno)
    elif called == "many":
        one, more = (str(arg.value) for arg in node.args[:2] if isinstance(arg, ast.Constant))
        yield Found((one, more), name, node.lineno)
    elif called in ("note", "take") and name.startswith("billing/year/"):
        for arg in node.args[1:3]:
            yield from (Found(told, name, node.lineno) for told in sentences(arg))
    elif (called, name) in CHECKS:
        yield from (Found(told, name, node.lineno) for told in sentences(node.args[0]))
    elif refuses and (called in REFUSALS or called == "VoteRefused"):
        said = [one.value for one in node.keywords if one.arg == "reason"] or node.args[-1:]
        for arg in said:
            yield from (Found(told, name, node.lineno) for told in sentences(arg))


def _of_assignment(node: ast.Assign | ast.AnnAssign | ast.AugAssign, name: str) -> Iterator[Found]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [one.id for one in targets if isinstance(one, ast.Name)]
    if any(one in CONSTANTS.get(name, ()) for one in names) and node.value is not None:
        value, keys_too = node.value, names[0] == "FILTERS"
        for told in _constants(value, keys_too=keys_too):
            yield Found(told, name, node.lineno)
    elif name.startswith("billing/year/") and "formula" in names and node.value is not None:
        for told in sentences(node.value):
            before = "{formula}" if isinstance(node, ast.AugAssign) else ""
            yield Found(before + told, name, node.lineno)


def _constants(node: ast.expr, *, keys_too: bool) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if keys_too and key is not None:
                yield from _constants(key, keys_too=True)
            yield from _constants(value, keys_too=keys_too)
    elif isinstance(node, ast.Tuple):
        texts = [
            one.value for one in node.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        # Of a pattern and its words, the words.
        is_pattern = len(texts) == 2 and any(one in texts[0] for one in r":\*") and len(node.elts) == 2
        yield from (
            texts[1:] if is_pattern or (len(texts) == 2 and texts[0].startswith("result of")) else texts
        )
        for one in node.elts:
            if isinstance(one, ast.Tuple):
                yield from _constants(one, keys_too=keys_too)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _sentences_within(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.expr):
        found = sentences(node)
        if found:
            yield from (one for one in found if " " in one)
            return
    for inner in ast.iter_child_nodes(node):
        yield from _sentences_within(inner)


def sentences(node: ast.expr) -> list[str]:
    """What an expression can say, with a {place} for each value; empty for what is no text."""
    match node:
        case ast.Constant(value=str(text)):
            return [text] if " " in text or text.isalpha() else []
        case ast.JoinedStr(values=values):
            return _joined(values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return ["".join(pair) for pair in product(sentences(left), sentences(right))]
        case ast.IfExp(body=body, orelse=orelse):
            return [*sentences(body), *sentences(orelse)]
        case _other:
            return []


def _joined(values: Iterable[ast.expr]) -> list[str]:
    found, used = [""], set[str]()
    for one in values:
        if isinstance(one, ast.Constant):
            found = [text + str(one.value) for text in found]
        elif isinstance(one, ast.FormattedValue):
            choices = sentences(one.value) if isinstance(one.value, ast.IfExp) else _offices(one.value)
            if not choices:
                name = place_name(one, used)
                used.add(name)
                choices = ["{" + name + "}"]
            found = [text + choice for text in found for choice in choices]
    return found


def _offices(node: ast.expr) -> list[str]:
    """All of OFFICE_WORDS where a sentence has one of them: each makes a sentence of its own."""
    is_one = isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "OFFICE_WORDS"
    return list(OFFICE_WORDS.values()) if is_one else []


def place_name(one: ast.FormattedValue, used: set[str]) -> str:
    """A name for a value in a sentence, after the expression it comes from."""
    node: ast.AST = one.value
    is_number = one.format_spec is not None and "," in ast.unparse(one.format_spec)
    while not isinstance(node, ast.Name | ast.Attribute):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_number |= called in (
                "percent_text",
                "quotient_text",
                "plain_number",
                "format_number",
                "format_amount",
            )
            first = called == "format_amount"
            node = node.args[0 if first else -1] if node.args else node.func
        elif isinstance(node, ast.Subscript | ast.BinOp | ast.UnaryOp):
            node = getattr(node, "value", None) or getattr(node, "left", None) or node.operand  # type: ignore[union-attr]
        else:
            break
    word = (
        node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else "value"
    )
    word = word.lower().strip("_") + (NUMBER if is_number or word.startswith("of_") else "")
    name, count = word, 2
    while name in used:
        name, count = f"{word}_{count}", count + 1
    return name


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def catalogue_path(language: str) -> Path:
    """Where a language's catalogue lies."""
    return CATALOGUES.joinpath(language, "LC_MESSAGES", "weir.po")


def updated(language: str, wanted: Catalog) -> Catalog:
    """The catalogue with what is wanted and nothing else: what is new has no translation yet, and none is guessed."""
    path = catalogue_path(language)
    if path.exists():
        with path.open("rb") as file:
            known = read_po(file, locale=language)
    else:
        known = Catalog(locale=language)
    made = Catalog(
        locale=language, project="Weir", charset="utf-8", fuzzy=False, header_comment=f"# Weir in {LANGUAGES[language]}. `make catalogues` keeps it complete.",
        last_translator="The Weir project", language_team=LANGUAGES[language], creation_date=known.creation_date,
    )  # fmt: skip
    for message in wanted:
        if message.id:
            before = known.get(message.id[0] if message.pluralizable else message.id)
            kept = before.string if before is not None and before.id == message.id else None
            made.add(message.id, kept, locations=message.locations)
    return made


def main() -> None:
    """Write the catalogues, and say what is not translated yet."""
    wanted = template()
    for language in LANGUAGES:
        if language == SOURCE:
            continue
        made = updated(language, wanted)
        path = catalogue_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, made, width=110, omit_header=False, sort_output=True, include_lineno=False)
        missing = [one.id for one in made if one.id and not (one.string and all(_strings(one.string)))]
        print(f"{language}: {len(made)} sentences, {len(missing)} not translated")
        for one in missing:
            print("  ", one if isinstance(one, str) else one[0])


def _strings(told: str | Iterable[str]) -> tuple[str, ...]:
    return (told,) if isinstance(told, str) else tuple(told)


if __name__ == "__main__":
    main()
