"""What others wrote and we serve: the very file they published."""

from __future__ import annotations

import hashlib
from pathlib import Path

STATIC = Path(__file__).parents[2] / "billing" / "static"
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
"""Of dist/htmx.min.js in htmx.org 2.0.11 as npm has it, whose own digest begins with sha512-Thx/WtpeOQqSrqBCw."""


def test_htmx_is_the_published_one() -> None:
    body = STATIC.joinpath("htmx.min.js").read_bytes()
    assert HTMX == hashlib.sha256(body).hexdigest()
    assert b'version:"2.0.11"' in body
