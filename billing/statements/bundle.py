"""What a member takes home to check their statement without us: the files' texts, and the signed list of them. Pure.

Nothing of another member is in it: totals, hashes and sums alone. `billing/statements/verifier.py` goes with it, as verify.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from billing.canon import canonical
from billing.statements.sumtree import FORMAT as TREE_FORMAT
from billing.statements.sumtree import PARTS, Tree
from billing.statements.sumtree import document as proofs_document
from meter.extract import Extract, Sealed
from meter.ids import BucketId, MemberId, StreamId
from meter.window import Month

MANIFEST_FORMAT = "weir-bundle-1"
TOTALS_FORMAT = "weir-totals-1"
README = """\
Your statement, and all that is needed to check it without trusting us.

    python3 -I verify.py        (Windows: py -I verify.py)

It needs Python 3.11 or newer and nothing else: no network, no program of ours. It says `agrees` or `DIFFERS` for every
sum, with both sides, and ends with 0 only if all agree. Read it before you run it; or write your own, from this page.

statement.json   what you were told
line.json        the line of the month's closing that is yours
closing.json     the closing of the month: prices, invoices, totals. The same for every member
totals.json      how far each stream of records was counted, and the root of the tree of all charges. The same for
                 every member: compare the SHA-256 of this file and of closing.json with another member's
proof.json       the way from your charge to that root
tariff.toml      the prices
records.jsonl    your records, one a line: every exchange billed to you in this month, and every change of what you keep
                 stored, since the beginning. `record` is the record itself, 128 bytes in hexadecimal digits; `seed` is
                 what its checksum begins with; `stream`, `segment` and `sequence` say where it stands
engines.json     on which storage engine your buckets are, by their numbers in the records; only in a month in which some
                 engine has prices of its own, and what it does not name is on none of them
segments.json    the segments these stand in, with their digests
heads/           the signed pages of the days of the month and of its closing
manifest.json    the SHA-256 of each of these files, signed with the co-op's key
verify.py        the verifier

Of a year there is instead page.json, the closing of the year, the same for every member; line.json, statement.json,
totals.json and proof.json as above, of what each class shares by; and months/, with all of the above for each month.

What it proves: your charge follows from these records at these prices, rounded once a line; no record is counted
twice, is another's, or is of another month; your charge is in the total of all charges, of which every member can see
that it is the same; all this was signed by the co-op, which cannot take it back.

What it cannot prove: that a record is true. Each names the request it stands for, by the id your client was told in
x-amz-request-id: compare them with your own log. Nor that the total is not too high: nobody who is left out of it would
fail to notice, but a charge of nobody could be in it. Whoever audits the co-op has the whole journal, and can look each
of your records up by stream, segment and sequence.

The key: ask somebody you trust for the co-op's public key, and run `python3 -I verify.py --key THE_KEY`.
"""


def totals_text(
    month: Month,
    *,
    closing_digest: str,
    tree: Tree,
    below_zero_minor: int,
    watermarks: Mapping[Month, Mapping[StreamId, int]],
) -> str:
    """What everybody may see of everybody's charges: the tree's root, and their sum."""
    return canonical(
        {
            "format": TOTALS_FORMAT,
            "period": str(month),
            "closing_digest": closing_digest,
            "tree": _published(tree),
            "below_zero_minor": below_zero_minor,
            "watermarks": {
                str(closed): {str(stream): last for stream, last in marks.items()}
                for closed, marks in watermarks.items()
                if closed <= month
            },
        }
    )


def proof_text(tree: Tree) -> str:
    """One member's way to the root."""
    return canonical({"format": TREE_FORMAT, "leaves": proofs_document(tree.proofs)})


def segments_text(segments: Iterable[Sealed]) -> str:
    """Where the records stand."""
    return canonical(
        {
            "segments": [
                {
                    "stream": str(one.stream),
                    "segment": one.number,
                    "first_sequence": one.first_sequence,
                    "last_sequence": one.last_sequence,
                    "digest": one.digest.hex(),
                }
                for one in segments
            ]
        }
    )


def engines_text(engines: Mapping[BucketId, str]) -> str:
    """Where the member's buckets are."""
    return canonical({"engines": {str(bucket): name for bucket, name in sorted(engines.items())}})


def record_line(one: Extract) -> str:
    """A record as a line of records.jsonl."""
    row: dict[str, object] = {
        "stream": str(one.stream),
        "segment": one.segment,
        "sequence": one.sequence,
        "seed": one.seed,
        "record": one.record.hex(),
    }
    if one.counted_us is not None:
        row["counted_us"] = one.counted_us
    return json.dumps(row, separators=(",", ":")) + "\n"


def year_texts(number: int, *, closing_digest: str, trees: Mapping[str, tuple[int, Tree]]) -> dict[str, str]:
    """Of a year, class by class: the root of the tree over what its members share by, and one member's way to it."""
    classes = {
        name: {"scale": scale, "tree": _published(tree)} for name, (scale, tree) in sorted(trees.items())
    }
    totals = {
        "format": TOTALS_FORMAT, "period": str(number), "closing_digest": closing_digest, "classes": classes,
    }  # fmt: skip
    proofs = {name: {"leaves": proofs_document(tree.proofs)} for name, (_, tree) in sorted(trees.items())}
    return {
        "totals.json": canonical(totals),
        "proof.json": canonical({"format": TREE_FORMAT, "classes": proofs}),
    }


def _published(tree: Tree) -> dict[str, object]:
    return {
        "format": TREE_FORMAT,
        "root": tree.root.hex(),
        "sum_minor": tree.sum_minor,
        "leaves": tree.leaves,
        "parts": PARTS,
    }


def manifest_text(member: MemberId, period: str, *, key: str, files: Mapping[str, str]) -> str:
    """The list of files with the SHA-256 of each, to be signed."""
    return canonical(
        {"format": MANIFEST_FORMAT, "member": member, "period": period, "key": key, "files": dict(files)}
    )
