"""The API under schemathesis: a real portal with a real database, asked whatever its own document lets one think of.

It runs beside the portal as its own process, with a seed and an end. Nothing may be a fault of ours, no status may come
that the document does not name, and every answer has to fit its schema.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from billing.settings import BillingSettings
from tests.api_kit import GENEROUS, Api, a_full_co_op
from tests.coop import Coop
from tests.portal import running_site

SEED = 20_261_126
EXAMPLES, TIME_S = 6, 270
"""About twenty seconds of processor time; the end is for a machine that has none to spare."""
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "allow_header_conformance", "ignored_auth", "use_after_free",
)  # fmt: skip
"""All but two: what is well formed may still name a day after the last one, or a key that is not there."""


async def fuzzed(site: Api, token: str, place: Path) -> tuple[int, str, dict[str, Any]]:
    """(exit status, what it printed, its report). Raises TimeoutError."""
    report = place / "report.json"
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", f"{site.origin}/api/v1/openapi.json",
        "--url", f"{site.origin}/api/v1", "--header", f"Authorization: Bearer {token}", "--seed", str(SEED),
        "--max-examples", str(EXAMPLES), "--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS),
        "--continue-on-failure", "--no-color", "--report", "json", "--report-json-path", str(report),
        cwd=place, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(running.communicate(), TIME_S)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode is not None
    told = json.loads(report.read_text()) if report.exists() else {}
    return running.returncode, out.decode(errors="replace"), told


async def test_whatever_is_asked_the_api_answers_as_its_document_says(co_op: Coop, tmp_path: Path) -> None:
    settings = BillingSettings(**GENEROUS, keys_per_member_max=10_000)  # type: ignore[arg-type]
    async with (
        running_site(co_op, tmp_path / "journal", settings, kind=Api) as site,
        a_full_co_op(site) as (member, _),
    ):
        status, printed, report = await fuzzed(site, await site.token(member), tmp_path)
    print(printed[-6000:], json.dumps(report)[:1500])
    assert 0 == status
