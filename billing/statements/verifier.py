"""Works a member's downloaded statement out again from their own records, without Weir and without trusting us.

    python3 -I verify.py [DIRECTORY] [--key PUBLIC_KEY]        (Windows: py -I verify.py)

One file, nothing but Python's own library (3.11 or newer), no network. It prints each sum with both sides and ends
with 0 when all agree, 1 when one does not, 2 when this Python is too old. It is written apart from the program it checks, on purpose, and so
divides for itself. Formats: README.txt beside it, and meter/README.md of Weir.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  whoever checks has the Python they have, and is told, not shown a trace
    sys.stderr.write(
        f"verify.py needs Python 3.11 or newer, and this is {sys.version_info[0]}.{sys.version_info[1]}\n"
    )
    sys.exit(2)

import argparse
import hashlib
import io
import json
import struct
import tomllib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any
from zlib import crc32

RECORD = struct.Struct("<Q16sQQQHBBHHqqqqqqqB11xI")
CHECKPOINT, STORAGE, CORRECTION = 2, 4, 16
STORED = ("objects", "part_byte_microseconds", "version_byte_microseconds", "removed_byte_microseconds")
SENT = ("gb_out", "gb_out_peering", "gb_out_own")
COUNTS = ("bytes_in", "bytes_out", "requests_a", "requests_b", "corrected_bytes_in", "corrected_bytes_out",
          *STORED, *SENT)  # fmt: skip
GB, NANO, DAY_US = 10**9, 10**9, 86_400 * 10**6
WITHOUT_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
SETTLED = ("amount", "cash", "retained", "loss_met", "withheld", "set_off", "given", "held", "paid")
MANIFEST = "manifest.json"
OF_DESKTOPS = (".DS_Store", "Thumbs.db", "desktop.ini")
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)
ALL_AGREE = "all agree: this statement follows from these records, prices and totals"
Document = dict[str, Any]
Lines = dict[tuple[str, str, str], list[int]]


class Report:
    """Every check with both sides."""

    def __init__(self) -> None:
        self.wrong = 0

    def __call__(self, words: str, left: object, right: object = True) -> None:
        """Say whether both sides are the same."""
        word, sign = ("agrees ", "=") if left == right else ("DIFFERS", "is not")
        self.wrong += left != right
        self.say(f"{word}  {words}: {_short(left)} {sign} {_short(right)}")

    def say(self, text: str) -> None:
        """A line."""
        sys.stdout.write(text + "\n")


def _short(side: object) -> str:
    text = f"{side:,}" if isinstance(side, int) and not isinstance(side, bool) else str(side)
    return text if len(text) <= 70 else text[:67] + "…"


def main(words: list[str]) -> int:
    """Check the bundle named; the exit status."""
    parser = argparse.ArgumentParser(description="Check a downloaded statement of Weir.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--key", help="the co-op's public key, from elsewhere")
    asked = parser.parse_args(words)
    return look(asked.directory, Report(), key=asked.key)


def look(place: Path, check: Report, *, key: str | None = None) -> int:
    """Check a bundle to its end, whatever is in it; 0 when all agrees, else 1."""
    try:
        verify(place, check, key=key)
    except UNREADABLE as error:
        check("the bundle can be read to its end", f"{type(error).__name__}: {error}", "no error")
    told = f"{check.wrong} of the checks DIFFER: this statement does not follow from these files"
    check.say(told if check.wrong else ALL_AGREE)
    return int(check.wrong > 0)


def verify(place: Path, check: Report, *, key: str | None) -> Document:
    """All steps of a month or a year, in the order in which one rests on the other; the statement."""
    manifest = check_files(place, check, key=key)
    told, totals = (_document(place, name) for name in ("statement", "totals"))
    check("whose statement it is", [told["member"]["id"], told["kind"]], [manifest["member"], "final"])
    if "-" not in manifest["period"]:
        check_year(place, check, manifest, told, totals)
        return told
    closing = _document(place, "closing")
    check("of which month", [told["period"], closing["month"], totals["period"]], [manifest["period"]] * 3)
    body = {name: value for name, value in closing.items() if name != "digest"}
    check("digest of the closing", _digest(_canonical(body)), closing["digest"])
    named = [told["digest"], totals["closing_digest"]]
    check("the closing that statement and totals name", named, [closing["digest"]] * 2)
    check_heads(place, check, manifest, closing, totals)
    check_charges(check, told, closing["inputs"], check_records(place, check, manifest, told, totals))
    check_line(place, check, told)
    check_tariff(place, check, closing["inputs"]["tariff"])
    check_tree(_document(place, "proof"), check, manifest, told, totals)
    check_co_op(check, told, closing, totals)
    return told


def check_files(place: Path, check: Report, *, key: str | None) -> Document:
    """The signed list of files, and each file's hash."""
    text, signature, end = place.joinpath(MANIFEST).read_bytes().split(b"\n")
    manifest: Document = json.loads(text)
    check("the list of files is written as it must be", [_canonical(manifest).encode(), end], [text, b""])
    check("the list of files is signed", is_signed(manifest["key"], text, signature))
    check.say(f"         by the key {manifest['key']}; give one from elsewhere with --key")
    check("by the key that you vouch for", manifest["key"], key or manifest["key"])
    there, listed = (
        names_in(place, (path for path in place.rglob("*") if path.is_file())),
        set(manifest["files"]),
    )
    check("files that are listed and are not there", sorted(listed - there), [])
    extra = {name for name in there - listed - {MANIFEST} if not is_of_a_desktop(name)}
    check("files that are there and are not listed", sorted(extra), [])
    for name, wanted in sorted(manifest["files"].items()):
        with place.joinpath(name).open("rb") as file:
            check(f"SHA-256 of {name}", hashlib.file_digest(file, "sha256").hexdigest(), wanted)
    return manifest


def names_in(place: PurePath, paths: Iterable[PurePath]) -> set[str]:
    """Files as the list names them, on every system with slashes."""
    return {path.relative_to(place).as_posix() for path in paths}


def is_of_a_desktop(name: str) -> bool:
    """Whether a system puts such a file beside others by itself, when a folder is unpacked or looked at."""
    *above, last = name.split("/")
    return last in OF_DESKTOPS or last.startswith("._") or "__MACOSX" in above


def check_heads(place: Path, check: Report, manifest: Document, closing: Document, totals: Document) -> None:
    """The signed pages: each continues the one before, one closes the month, and they know the segments."""
    digests: dict[tuple[str, int], str] = {}
    closes, last, text = [], None, b""
    for path in sorted((place / "heads").glob("[!.]*.head")):
        before, (text, signature, _) = text, path.read_bytes().split(b"\n")
        head = json.loads(text)
        check(f"head {head['number']} is signed", is_signed(head["key"], text, signature))
        if last is not None:
            is_same, named = last["key"] == head["key"], {"key": last["key"], "head": _digest(before)}
            left, right = (head["previous"], named["head"]) if is_same else (head["replaces"], named)
            check(f"head {head['number']} continues the one before", left, right)
        if head["closed"] is not None and head["closed"]["month"] == manifest["period"]:
            closes.append(head["closed"]["watermark"])
        digests |= {(one["stream"], one["segment"]): one["segment_digest"] for one in head["streams"]}
        last = head
    watermark = totals["watermarks"][manifest["period"]]
    check("how far the closing counted, in a signed head", closes, [watermark])
    check("how far the closing counted, in the closing", closing["inputs"]["watermark"], watermark)
    for one in _document(place, "segments")["segments"]:
        if (known := digests.get((one["stream"], one["segment"]))) is not None:
            check(f"segment {one['segment']} of {one['stream'][:8]}, in a head", known, one["digest"])


class Sums:
    """What records add up to: those of the month by themselves, and what came late by when it happened; of these,
    what was of buckets on each engine."""

    def __init__(self, month: str) -> None:
        self.month, self.groups, self.on = month, {"": dict.fromkeys(COUNTS, 0)}, dict[str, Sums]()

    def add(self, record: tuple[Any, ...], at_us: int, billed: str, engine: str = "") -> None:
        """One record that counts at an instant and is billed in this month, or, of stored bytes, before."""
        if engine:
            self.on.setdefault(engine, Sums(self.month)).add(record, at_us, billed)
        zone, kind, mark, came, sent, change, line = (record[place] for place in (7, 6, 9, 12, 13, 16, 17))
        happened = _month_of(at_us) if billed == self.month else self.month
        if mark & STORAGE:
            since_us = at_us if billed == self.month else _start_us(self.month)
            while happened <= self.month:
                self._count(happened, {STORED[line]: change * (_start_us(_next(happened)) - since_us)})
                happened = _next(happened)
                since_us = _start_us(happened)
            return
        moved = {"bytes_in": came, "bytes_out": sent, SENT[zone]: sent}
        if mark & CORRECTION:
            moved |= {"corrected_bytes_in": came, "corrected_bytes_out": sent}
        elif not mark & CHECKPOINT:
            moved |= {"requests_a": int(kind == 1), "requests_b": int(kind == 2)}
        self._count(happened, moved, "correction" if mark & CORRECTION else "late usage")

    def _count(self, happened: str, moved: dict[str, int], words: str = "late usage") -> None:
        note = "" if happened == self.month else f"{words} of {happened}"
        counts = self.groups.setdefault(note, dict.fromkeys(COUNTS, 0))
        for name, count in moved.items():
            counts[name] += count

    def whole(self) -> dict[str, int]:
        """All of it, by the names of the statement."""
        found = {name: sum(counts[name] for counts in self.groups.values()) for name in COUNTS}
        return found | {"byte_microseconds": sum(found[name] for name in STORED[:3])}


def check_records(place: Path, check: Report, manifest: Document, told: Document, totals: Document) -> Sums:
    """Every record by itself, and the sums of all of them beside the usage on the statement."""
    month, marks = manifest["period"], totals["watermarks"]
    segments = {(one["stream"], one["segment"]): one for one in _document(place, "segments")["segments"]}
    sums, faults, last, count, displaced = Sums(month), list[str](), dict[str, int](), 0, 0
    engines = _document(place, "engines")["engines"] if (place / "engines.json").exists() else {}
    with (place / "records.jsonl").open(encoding="utf-8") as file:
        for text in file:
            row = json.loads(text)
            raw, stream, sequence = bytes.fromhex(row["record"]), row["stream"], row["sequence"]
            record = RECORD.unpack(raw)
            at_us = row.get("counted_us", record[11])
            billed, segment = _billed(at_us, stream, sequence, marks), segments[stream, row["segment"]]
            if not (
                crc32(raw[:124], row["seed"]) == record[18]
                and [record[0], record[2]] == [sequence, manifest["member"]]
                and last.get(stream, 0) < sequence <= marks[month].get(stream, 0)
                and segment["first_sequence"] <= sequence <= (segment["last_sequence"] or sequence)
                and (billed == month or (billed < month and record[9] & STORAGE))
            ):
                faults.append(f"record {sequence} of {stream}")
            last[stream], count, displaced = sequence, count + 1, displaced + ("counted_us" in row)
            sums.add(record, at_us, billed, engines.get(str(record[4]), ""))
    check(f"{count:,} records, each whole, once, yours and billed by now; those that are not", faults[:3], [])
    if displaced:
        check.say(
            f"         {displaced:,} of them bear a time that could not be true, and count when they came"
        )
    for name, value in sums.whole().items():
        if name not in (*SENT, STORED[0]):
            check(f"{name}: your records = your statement", value, told["usage"].get(name, 0))
    return sums


def check_charges(check: Report, told: Document, inputs: Document, sums: Sums) -> None:
    """Usage × tariff, line by line, each rounded once."""
    check("currency", told["currency"], inputs["tariff"]["currency"])
    groups, lines, total = sums.groups, told["lines"], 0
    on = {engine: one.groups for engine, one in sums.on.items()}
    if not any("note" in line for line in lines):
        # Nothing came late, or the month is of the time before that had its own lines.
        groups, on = {"": sums.whole()}, {engine: {"": one.whole()} for engine, one in sums.on.items()}
    given: Lines = {}
    for line in lines:
        total += line["amount_minor"]
        parts = [line.get(name, 0) for name in ("quantity", "free", "per", "price_nano", "amount_minor")]
        if line["service"] == "credits":
            check(f"{line['note']}: is in your favour", line["amount_minor"] <= 0)
        else:
            given[line["service"], line.get("note", ""), line.get("engine", "")] = parts
    wanted: Lines = {}
    for note, counts in groups.items():
        month = note[-7:] or sums.month
        tariff = inputs.get("earlier_tariffs", {}).get(month, inputs["tariff"]) if note else inputs["tariff"]
        parts_on = {engine: one[note] for engine, one in on.items() if note in one}
        wanted |= _lines(note, counts, month, tariff, told["member"]["class"], parts_on)
    check("services charged", sorted(given), sorted(wanted))
    for key, parts in wanted.items():
        words = f"{', '.join(filter(None, key))}: quantity, free, unit, price in 10^-9, amount"
        check(words, parts, given.get(key))
    check("your charge: the sum of the lines = the statement", total, told["charges_minor"])


def _lines(
    note: str, counts: dict[str, int], month: str, tariff: Document, member_class: str,
    on: dict[str, dict[str, int]],
) -> Lines:  # fmt: skip
    own = tariff.get("classes", {}).get(member_class, {})
    prices = tariff["prices_nano"] | own.get("prices_nano", {})
    free = own.get("free_nano", tariff.get("free_nano", {}))
    digits, left, apart = _decimals(tariff["currency"]), _quantities(counts, month, prices), Lines()
    for engine, part in on.items():
        common, more = (one.get("engines", {}).get(engine, {}) for one in (tariff, own))
        there = common.get("prices_nano", {}) | more.get("prices_nano", {})
        free_there = more.get("free_nano", common.get("free_nano", {}))
        for name, (quantity, per) in _quantities(part, month, prices | there).items():
            if quantity and (name in there or (name not in prices and _like(name) in there)):
                key = name if name in prices or name not in SENT else "gb_out"
                left[key] = (left[key][0] - quantity, per)
                allowed = {} if note else free_there
                apart[name, note, engine] = _rated(name, quantity, per, prices | there, allowed, digits)
    found = {
        (name, note, ""): _rated(name, quantity, per, prices, {} if note else free, digits)
        for name, (quantity, per) in left.items()
        if quantity or not (note or _like(name))
    }
    return found | apart


def _like(name: str) -> str:
    """The service whose price one has that is not named."""
    return "gb_out" if name in SENT[1:] else "gb_month" if name.startswith("gb_month_") else ""


def _quantities(counts: dict[str, int], month: str, prices: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Service to what was counted, and how much of it is one unit; a zone without a price is like any other."""
    gb_month = GB * (_start_us(_next(month)) - _start_us(month))
    zones = {name: counts[name] if name in prices else 0 for name in SENT[1:]}
    return {
        "gb_out": (counts["bytes_out"] - sum(zones.values()), GB),
        **{name: (count, GB) for name, count in zones.items()},
        "gb_in": (counts["bytes_in"], GB),
        "gb_month": (counts[STORED[0]], gb_month),
        "gb_month_versions": (counts[STORED[2]], gb_month),
        "gb_month_parts": (counts[STORED[1]], gb_month),
        "requests_a_1000": (counts["requests_a"], 1000),
        "requests_b_1000": (counts["requests_b"], 1000),
    }


def _rated(
    name: str, quantity: int, per: int, prices: dict[str, int], free: dict[str, int], digits: int
) -> list[int]:
    price = prices[name if name in prices else _like(name)]
    allowed = max(min(quantity, divmod(free.get(name, 0) * per, NANO)[0]), 0)
    return [quantity, allowed, per, price, _half_up((quantity - allowed) * price * 10**digits, per * NANO)]


def check_line(place: Path, check: Report, told: Document) -> None:
    """The line that the closing holds of you says what the statement says."""
    text = (place / "line.json").read_bytes()
    line = json.loads(text)
    check("digest of your line of the closing", _digest(text), told["line_digest"])
    found = [line["member"], line["amount_minor"], [[one[0], one[4]] for one in line["lines"]]]
    amounts = [[one["service"], one["amount_minor"]] for one in told["lines"]]
    check("what it says of you", found, [told["member"]["id"], told["charges_minor"], amounts])


def check_tariff(place: Path, check: Report, tariff: Document) -> None:
    """The tariff as a file beside the tariff of the closing."""
    table = tomllib.loads((place / "tariff.toml").read_text("utf-8"))
    found = {name: table.pop(name) for name in ("currency", "effective_from")} | _prices(table)
    check("prices: the tariff's file = the closing", found, tariff)


def _prices(table: Document) -> Document:
    found: Document = {
        "prices_nano": {name: _nano(text) for name, text in table.items() if isinstance(text, str)}
    }
    if "free" in table:
        found["free_nano"] = {name: _nano(text) for name, text in table["free"].items()}
    for key, name in (("class", "classes"), ("engine", "engines")):
        if key in table:
            found[name] = {one: _prices(rates) for one, rates in table[key].items()}
    return found


def check_tree(proof: Document, check: Report, manifest: Document, told: Document, totals: Document) -> None:
    """Your charge, or what else you share by, is in everybody's total: its parts lead to the one root."""
    tree, own = totals["tree"], 0
    for leaf in proof["leaves"]:
        words = f"weir-sum-tree-1 {manifest['member']} {leaf['part']} {leaf['amount_minor']}".encode()
        node = hashlib.sha256(b"\0" + bytes.fromhex(leaf["salt"]) + words).digest()
        amount = leaf["amount_minor"]
        for step in leaf["path"]:
            here, beside = _node(node, amount), _node(bytes.fromhex(step["hash"]), step["sum_minor"])
            body = beside + here if step["side"] == "left" else here + beside
            node, amount = hashlib.sha256(b"\1" + body).digest(), amount + step["sum_minor"]
        own += leaf["amount_minor"]
        led = f"part {leaf['part']} of your measure, {leaf['amount_minor']:,}, leads to the root and total of all"
        check(led, [node.hex(), amount], [tree["root"], tree["sum_minor"]])
    check("all parts of it", [leaf["part"] for leaf in proof["leaves"]], list(range(tree["parts"])))
    check("your measure: its parts in the tree = the statement", own, max(told["charges_minor"], 0))


def check_co_op(check: Report, told: Document, closing: Document, totals: Document) -> None:
    """The totals: charges, costs, and what is left over."""
    charges, summed = closing["charges_minor"], totals["tree"]["sum_minor"] + totals["below_zero_minor"]
    check("everybody's charges: the tree, less what is below zero", summed, charges)
    check("costs: the sum of the pools", sum(closing["costs"].values()), closing["costs_minor"])
    check("charges - costs = the result", charges - closing["costs_minor"], closing["result_minor"])
    for name in ("charges_minor", "costs", "costs_minor", "result_minor"):
        check(f"the co-op's {name}: the statement = the closing", told["co_op"][name], closing[name])
    others = told["co_op"].get("customers_charges_minor")
    if others is not None:
        by_class = closing["charges_by_class"]["customer"]
        check("customers' part of the charges: the statement = the closing", others, by_class)


def check_year(place: Path, check: Report, manifest: Document, told: Document, totals: Document) -> None:
    """A year: its months one by one, your line of the sum, and what each class shares by."""
    page, line = _document(place, "page"), _document(place, "line")
    years = [str(one) for one in (told["fiscal_year"], page["fiscal_year"], totals["period"])]
    check("of which year", years, [manifest["period"]] * 3)
    check(
        "the closing that statement and totals name",
        [told["digest"], totals["closing_digest"]],
        [page["digest"]] * 2,
    )
    charged: dict[str, int] = {}
    for path in sorted(one for one in (place / "months").glob("[!_]*") if one.is_dir()):
        check.say(f"         {path.name}:")
        month, closing = verify(path, check, key=manifest["key"]), _document(path, "closing")
        check("whose month it is", [month["member"]["id"], month["period"]], [manifest["member"], path.name])
        named = [page["months"].get(path.name), page["month_results"].get(path.name)]
        check(
            "the month's closing and result, as in the year's",
            named,
            [closing["digest"], closing["result_minor"]],
        )
        member_class = month["member"]["class"]
        charged[member_class] = charged.get(member_class, 0) + month["charges_minor"]
    check(
        f"the year {manifest['period']}: your charges of its months",
        sum(charged.values()),
        told["charges_minor"],
    )
    check(
        "digest of your line of the year",
        _digest(place.joinpath("line.json").read_bytes()),
        told["line_digest"],
    )
    check(
        "your charges by class",
        {use[0]: use[1] for use in line["uses"] if use[1]},
        {k: v for k, v in charged.items() if v},
    )
    names = (
        "class",
        "measure",
        "amount_minor",
        "cash_minor",
        "retained_minor",
        "qualified_minor",
        "nonqualified_minor",
    )
    check("your shares in it", line["allocations"], [[one[name] for name in names] for one in told["shares"]])
    settled = [told[f"{name}_minor"] for name in SETTLED]
    check("what becomes of them", line["settlement"] or [0] * len(settled), settled)
    check("all your shares", sum(one["amount_minor"] for one in told["shares"]), told["amount_minor"])
    for step in page["steps"]:
        check.say(f"         {step['name']}: {step['formula']}: {step['amount']}")
    for one in page["checks"]:
        check(f"the closing of the year: {one['name']}", one["left"], one["right"])
    for share in told["shares"]:
        check_share(check, manifest, page, share, totals, _document(place, "proof")["classes"], charged)


def check_share(
    check: Report, manifest: Document, page: Document, share: Document, totals: Document, proofs: Document,
    charged: dict[str, int],
) -> None:  # fmt: skip
    """One line of the sum: own measure × pool of the class / everybody's measure, and both in the tree."""
    name, scale, tree = (
        share["class"],
        totals["classes"][share["class"]]["scale"],
        totals["classes"][share["class"]],
    )
    own, whole = Fraction(share["measure"]), Fraction(page["measures"][name])
    pool = int(Fraction(page["class_pools"].get(name, "0")) * 10 ** _decimals(page["currency"]))
    exact = Fraction(own * pool, whole) if whole else Fraction(0)
    words = f"your share as {name}, {own} × {pool:,} / {whole}, rounded down or up: {share['amount_minor']:,}"
    check(words, abs(exact - share["amount_minor"]) < 1)
    check("its parts, paid and kept", share["cash_minor"] + share["retained_minor"], share["amount_minor"])
    by_charges = page["inputs"].get("class_keys", {}).get(name, name) in ("user", "charges")
    if by_charges and share["amount_minor"] >= 0:  # a loss may be borne by more than what was used
        check("you share by your charges", own, max(charged.get(name, 0), 0))
    check("what the class shares by: the tree = the year's closing", tree["tree"]["sum_minor"], whole * scale)
    check_tree(proofs[name], check, manifest, {"charges_minor": int(own * scale)}, tree)


def _node(digest: bytes, sum_minor: int) -> bytes:
    return digest + sum_minor.to_bytes(16, "big")  # below zero it has no bytes, and is refused


def _document(place: Path, name: str) -> Document:
    found: Document = json.loads(place.joinpath(name + ".json").read_text("utf-8"))
    return found


def _canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _start_us(month: str) -> int:
    year, number = month.split("-")
    return (datetime(int(year), int(number), 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days * DAY_US


def _next(month: str) -> str:
    year, number = (int(one) for one in month.split("-"))
    return f"{year + (number == 12):04d}-{number % 12 + 1:02d}"


def _month_of(instant_us: int) -> str:
    day = date.fromordinal(date(1970, 1, 1).toordinal() + divmod(instant_us, DAY_US)[0])
    return f"{day.year:04d}-{day.month:02d}"


def _billed(at: int, stream: str, sequence: int, marks: dict[str, dict[str, int]]) -> str:
    """The month of the instant, or the first one that was open when the record came."""
    month = _month_of(at)
    for closed in sorted(marks):
        if closed >= month and sequence > marks[closed].get(stream, 0):
            month = _next(closed)
    return month


def _decimals(currency: str) -> int:
    return 0 if currency in WITHOUT_MINOR.split() else 3 if currency in THOUSANDTHS.split() else 2


def _half_up(numerator: int, denominator: int) -> int:
    whole, _ = divmod(2 * abs(numerator) + denominator, 2 * denominator)
    return whole if numerator >= 0 else -whole


def _nano(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole + decimals.ljust(9, "0"))


# Ed25519, RFC 8032, section 5.1.7: only what looking at a signature needs, and no secret is ever here.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) >> 2, P)
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)


def _times(scalar: int, point: Point) -> Point:
    found = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point, scalar = _add(point, point), scalar >> 1
    return found


def _point(data: bytes) -> Point:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) >> 3, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(key: str, message: bytes, signature: bytes) -> bool:
    """Whether the message was signed with the key's other half; key and signature in hexadecimal digits, small ones."""
    public, sealed = bytes.fromhex(key), bytes.fromhex(signature.decode())
    if (public.hex(), sealed.hex().encode()) != (key, signature):
        return False  # fromhex reads capitals and spaces too, and then a changed byte would pass
    scalar = int.from_bytes(sealed[32:], "little")
    if len(public) != 32 or len(sealed) != 64 or scalar >= ORDER:
        return False
    try:
        owner, commitment = _point(public), _point(sealed[:32])
    except ValueError:
        return False
    mixed = hashlib.sha512(sealed[:32] + public + message).digest()
    left = _times(scalar, BASE)
    right = _add(commitment, _times(int.from_bytes(mixed, "little") % ORDER, owner))
    return not (
        (left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P
    )


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that a terminal cannot show is no error in the statement.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
