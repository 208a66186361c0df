"""`weir statement … --pdf` on a co-op that runs: the file, the same file again, and what is refused."""

from __future__ import annotations

import io

import pypdf

from tests.integration.test_up import Weir
from tests.integration.test_up import weir as weir


def test_a_statement_is_written_as_a_pdf_and_again_as_the_same(weir: Weir) -> None:
    name = weir.start()["member"]
    told = weir.json(
        "correct", "traffic", name, "--sent", str(10 * 10**9), "--zone", "internet", "--why", "a test",
        "--who", "olga", "--yes",
    )  # fmt: skip
    period, year = told["period"], told["period"][:4]
    beside = weir.data.parent
    for asked in (period, year):
        file = beside / f"{weir.data.name}-{asked}.pdf"
        assert "written to" in weir.command("statement", name, asked, "--pdf", str(file))
        text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(file.read_bytes())).pages)
        # 10 GB at the first tariff's 0.01 EUR.
        assert (True, True) == (f"{name}, member" in text, "0.10" in text)
    nowhere = beside / "nowhere" / "x.pdf"
    assert "cannot be written" in weir.command("statement", name, period, "--pdf", str(nowhere), status=2)
    assert period == weir.json("statement", name, period)["period"]
