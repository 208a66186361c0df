"""What the house asks of a module: pure functions from (path, source) to complaints."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

ROOMS = ("meter", "gateway", "billing", "deploy")
ARROWS = {
    "meter": {"meter"},
    "gateway": {"gateway", "meter"},
    "billing": {"billing", "meter"},
    "deploy": set(ROOMS),
}
MODULE_LINES_MAX = 400
ONE_FILE = {"billing/statements/verifier.py": 600}
"""What members take home as one file and run alone cannot be taken apart."""
FUNCTION_LINES_MAX = 60
PURE = {
    "meter/ids.py", "meter/window.py", "meter/event.py", "meter/tally.py", "meter/frame.py", "meter/usage.py",
    "meter/refusal.py", "meter/columns.py", "meter/pace.py", "meter/heads.py", "meter/difference.py", "gateway/operation.py",
    "gateway/route.py", "gateway/names.py", "gateway/errors.py", "gateway/markup.py", "gateway/headers.py",
    "gateway/documents.py", "gateway/listing.py", "gateway/results.py", "gateway/access.py",
    "gateway/pace.py", "gateway/zones.py", "gateway/accounting.py", "gateway/checksum.py",
    "gateway/sigv4/parse.py", "gateway/actions.py", "gateway/grants.py", "gateway/exposure.py",
    "gateway/scope.py", "meter/proxies.py", "gateway/policy/patterns.py", "gateway/policy/conditions.py",
    "gateway/policy/facts.py", "gateway/policy/model.py", "gateway/policy/document.py",
    "gateway/rights_documents.py", "gateway/tree.py", "gateway/sigv4/unsigned.py", "gateway/tags.py",
    "gateway/locks.py", "gateway/attributes.py", "gateway/cors.py", "gateway/website.py",
    "gateway/postform.py", "gateway/postpolicy.py", "gateway/postfields.py", "gateway/sigv4/form.py",
    "gateway/customer_key.py", "gateway/lifecycle.py", "gateway/lifecycle_document.py",
    "gateway/sigv4/canonical.py", "gateway/sigv4/signature.py", "gateway/sigv4/chunked.py",
    "billing/money.py", "billing/charges/tariff.py", "billing/charges/rating.py", "billing/costs/invoices.py",
    "billing/ledger/entry.py", "billing/month/surplus.py", "billing/month/member_month.py",
    "billing/charges/quick.py", "billing/year/fiscal.py", "billing/year_lines.py", "billing/year_booking.py",
    "billing/year_losses.py", "billing/year_statement.py", "billing/year_parts.py", "billing/year/unweighed.py", "billing/month/booking.py", "billing/month/frozen.py",
    "billing/month/closing.py", "billing/statements/statement.py", "deploy/aggregate.py", "deploy/backup/page.py", "deploy/doctor/verdict.py", "meter/sizes.py",
    "meter/caps.py", "gateway/caps.py", "billing/portal/caps.py", "billing/rules/ruleset.py",
    "billing/rules/text.py", "billing/rules/document.py", "billing/fields.py", "billing/document.py", "billing/year/closing.py",
    "billing/year/inputs.py", "billing/year/outcome.py", "billing/year/validity.py", "billing/year/course.py",
    "billing/year/columns.py", "billing/year/roll.py",
    "billing/year/split.py", "billing/year/taking.py", "billing/year/sharing.py", "billing/year/loss.py",
    "billing/year/form.py", "billing/year/checks.py", "billing/year/average.py", "billing/year/document.py", "billing/ledger/chain.py",
    "billing/ledger/reports.py", "billing/ledger/export.py", "billing/payments/sepa.py",
    "billing/payments/bank.py", "billing/payments/markup.py", "billing/portal/books.py", "billing/portal/years.py",
    "gateway/storage/model.py", "gateway/storage/errors.py", "billing/prices/pricefile.py",
    "billing/prices/listprices.py", "billing/prices/comparison.py", "billing/prices/page.py",
    "billing/statements/paper.py", "billing/statements/month_paper.py", "billing/statements/year_paper.py",
    "billing/statements/sheet.py", "billing/statements/sumtree.py", "billing/statements/bundle.py", "gateway/storage/retention.py",
    "gateway/storage/disk/columns.py", "billing/register/operations.py", "billing/register/year.py",
    "billing/register/check.py", "billing/register/forms.py", "billing/register/shares.py",
    "billing/governance/decisions.py", "billing/governance/typed.py", "billing/register/particulars.py", "billing/governance/choices.py",
    "billing/year/reading.py", "billing/year/register.py", "billing/rules/page.py", "billing/costs/pools.py",
    "billing/costs/percentile.py", "billing/costs/variance.py", "billing/costs/entries.py",
    "billing/charges/lines.py", "billing/capital/lots.py", "billing/capital/retirement.py",
    "billing/capital/revolving.py", "billing/capital/exits.py", "billing/capital/unclaimed.py",
    "billing/capital/deadlines.py", "billing/capital/expected.py", "billing/payments/paid.py",
    "billing/portal/api/payment_shapes.py", "billing/capital/solvency.py", "billing/notices/notice.py", "billing/notices/file.py",
    "billing/spreadsheet.py", "billing/portal/usage.py", "billing/portal/bars.py", "billing/portal/overview.py", "billing/portal/keys.py",
    "billing/portal/mail.py", "billing/portal/membership.py", "billing/portal/entry.py", "billing/portal/passkey.py", "billing/portal/account.py",
    "billing/voting/proposal.py", "billing/voting/poll.py", "billing/voting/count.py", "billing/voting/document.py",
    "billing/voting/election.py", "billing/portal/api/election_shapes.py", "billing/year_typed.py",
    "billing/portal/proposals.py", "billing/acts/act.py", "billing/portal/treasury.py", "billing/portal/our_coop.py",
    "billing/portal/tokens.py", "billing/portal/typed.py", "billing/portal/api/openapi.py",
    "billing/portal/api/page.py", "billing/portal/api/problem.py", "billing/portal/api/fits.py",
    "billing/portal/api/shapes.py", "billing/portal/api/statement_shapes.py",
    "deploy/observe/catalogue.py", "deploy/observe/page.py", "deploy/observe/panels.py",
    "deploy/observe/boards_service.py", "deploy/observe/boards_co_op.py",
    "billing/founding/answers.py", "billing/founding/budget.py", "billing/founding/papers.py",
    "billing/founding/clauses.py", "billing/founding/sheet.py",
    "gateway/placement.py", "gateway/trace.py",
    "gateway/reconcile.py", "gateway/moving/compare.py", "gateway/moving/settling.py",
    "gateway/storage/abilities.py", "gateway/storage/upstream/signing.py", "gateway/storage/upstream/errors.py",
    "gateway/storage/upstream/acts.py", "gateway/storage/upstream/breaker.py", "gateway/storage/upstream/endpoint.py",
    "gateway/storage/upstream/response.py", "gateway/storage/upstream/stored.py",
    "gateway/storage/upstream/requests.py", "gateway/storage/upstream/answers.py",
    "gateway/storage/upstream/rules.py", "gateway/storage/upstream/properties.py",
}  # fmt: skip
HTTP_CLIENTS = (
    "aiohttp.ClientSession", "aiohttp.client", "aiohttp.request", "boto3", "botocore", "ftplib", "http.client",
    "httpx", "requests", "urllib.request", "urllib3",
)  # fmt: skip
IMPURE_MODULES = {
    "asyncio", "asyncpg", "aiohttp", "os", "socket", "time", "random", "secrets", "logging", "subprocess", "sqlite3",
    "threading", "shutil", "tempfile",
}  # fmt: skip
CLOCKS = re.compile(r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time|perf_counter)\b")
SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w[\w.]*\s+SET\s|DELETE\s+FROM\s|CREATE\s+(TABLE|INDEX|ROLE)\s)",
    re.DOTALL,
)
SQL_PLACES = re.compile(r"(^|/)(store|\w*_store|index|index_\w+|postgres|\w+_sql)\.py$|/store/")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")

Rule = Callable[[str, str], Iterator[str]]


def room_of(name: str) -> str:
    """The first folder of a path."""
    return name.split("/", 1)[0]


def imports_follow_the_arrows(name: str, text: str) -> Iterator[str]:
    """gateway → meter ← billing; deploy above all; no relative imports."""
    allowed = ARROWS[room_of(name)]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                yield f"line {node.lineno}: a relative import"
            targets = [node.module or ""]
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            continue
        for target in targets:
            room = target.split(".")[0]
            if room in ROOMS and room not in allowed:
                yield f"line {node.lineno}: {room_of(name)} imports {room}"
            if room == "tests":
                yield f"line {node.lineno}: shipped code imports tests"


def imports_stand_at_the_top(name: str, text: str) -> Iterator[str]:
    """No import hides inside a function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    yield f"line {inner.lineno}: an import inside {node.name}"


def pure_modules_are_pure(name: str, text: str) -> Iterator[str]:
    """No await, no I/O module, no clock, no open()."""
    if name not in PURE:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"line {node.lineno}: await in a pure module"
        elif (
            isinstance(node, ast.Import) and any(a.name.split(".")[0] in IMPURE_MODULES for a in node.names)
        ) or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IMPURE_MODULES):
            yield f"line {node.lineno}: a pure module imports the outside"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print")
        ):
            yield f"line {node.lineno}: {node.func.id}() in a pure module"
    for number, line in enumerate(text.splitlines(), 1):
        if CLOCKS.search(line):
            yield f"line {number}: a clock in a pure module"


def modules_are_small(name: str, text: str) -> Iterator[str]:
    """400 lines at most."""
    count, most = len(text.splitlines()), ONE_FILE.get(name, MODULE_LINES_MAX)
    if count > most:
        yield f"{count} lines, the house stops at {most}"


def functions_are_small(name: str, text: str) -> Iterator[str]:
    """60 lines at most."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                yield f"{node.name} is {size} lines, the house stops at {FUNCTION_LINES_MAX}"


def modules_introduce_themselves(name: str, text: str) -> Iterator[str]:
    """Every module has a docstring."""
    if ast.get_docstring(ast.parse(text)) is None:
        yield "no docstring says what the module knows"


def public_things_are_described(name: str, text: str) -> Iterator[str]:
    """Public functions and classes at the top of a module have a docstring."""
    for node in ast.parse(text).body:
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and ast.get_docstring(node) is None
            and not _is_bare_error(node)
        ):
            yield f"{node.name} has no docstring"


def _is_bare_error(node: ast.AST) -> bool:
    """A class of one line whose base says it all: class NoSuchKey(StorageError): ..."""
    return isinstance(node, ast.ClassDef) and len(node.body) == 1 and isinstance(node.body[0], ast.Expr)


def sql_stands_in_its_place(name: str, text: str) -> Iterator[str]:
    """SQL in store modules and sql/*.sql only."""
    if SQL_PLACES.search(name):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            yield f"line {node.lineno}: SQL outside a store"


def money_is_whole(name: str, text: str) -> Iterator[str]:
    """No float and no / in billing."""
    if room_of(name) != "billing":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"line {node.lineno}: a float"
        elif isinstance(node, ast.Name) and node.id in ("float", "round"):
            yield f"line {node.lineno}: {node.id}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            if not _joins_paths(node):
                yield f"line {node.lineno}: a division"
        elif (
            isinstance(node, ast.BinOp | ast.AugAssign)
            and isinstance(node.op, ast.FloorDiv)
            and name != "billing/money.py"
        ):
            yield f"line {node.lineno}: a division outside money.py"


def _joins_paths(node: ast.BinOp | ast.AugAssign) -> bool:
    """Path / "name" is no division: one side is text."""
    sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value]
    return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)


def nothing_is_left_for_later(name: str, text: str) -> Iterator[str]:
    """No TODO, no NotImplementedError."""
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"line {number}: {line.strip()[:60]}"


def errors_are_not_swallowed(name: str, text: str) -> Iterator[str]:
    """An except whose whole body is a bare pass, with no word on why, hides an error."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and all(
            isinstance(line, ast.Pass) and "#" not in lines[line.lineno - 1] for line in node.body
        ):
            yield f"line {node.lineno}: an error is passed over"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"line {node.lineno}: except without a name"


def the_gateway_fetches_nothing(name: str, text: str) -> Iterator[str]:
    """No code of the gateway can open an address that a caller names: it has no HTTP client.

    But for upstreams and the collector of traces, whose addresses the operator named.
    """
    named = ("gateway/storage/upstream/", "gateway/trace_sender.py")
    if room_of(name) != "gateway" or name.startswith(named):
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for one in (package + alias.name for alias in node.names):
            if one.startswith(HTTP_CLIENTS):
                yield f"line {node.lineno}: {one} can fetch"


RULES: tuple[Rule, ...] = (
    imports_follow_the_arrows,
    imports_stand_at_the_top,
    pure_modules_are_pure,
    modules_are_small,
    functions_are_small,
    modules_introduce_themselves,
    public_things_are_described,
    sql_stands_in_its_place,
    money_is_whole,
    nothing_is_left_for_later,
    errors_are_not_swallowed,
    the_gateway_fetches_nothing,
)
