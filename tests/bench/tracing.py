"""What a trace costs: `python -m tests.bench.tracing`. Processor time of a signed 4 KiB GET, tracing off and on, in turn.

Where tracing is off the classes are the plain ones, so there is nothing to measure but another tree:
`--before DIRECTORY` names one, an older commit unpacked, and is compared with this one.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.small import BODY, signed
from tests.bench.table import cost, paired, show
from tests.gateway import client, running_gateway
from tests.integration.test_tracing import collecting
from tests.postgres import place_for_a_server, running_server


def main() -> None:
    """One line a comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path)
    before = parser.parse_args().before
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        server = stack.enter_context(running_server(stack.enter_context(place_for_a_server())))
        url = stack.enter_context(collecting()).url
        ways = {
            "off": {},
            "a request in a hundred": {"WEIR_TRACING_URL": url},
            "every request": {"WEIR_TRACING_URL": url, "WEIR_TRACING_PER_MILLION": "1000000"},
        }
        if before is not None:
            ways |= {"the tree before": {"PYTHONPATH": str(before), "PYTHONSAFEPATH": "1"}}
        figures = {}
        for name, environment in ways.items():
            data = place / name.replace(" ", "-")
            data.mkdir()
            gateway = stack.enter_context(running_gateway(data, server.database(), environment=environment))
            member = gateway.member("bench")
            s3 = client(gateway, member)
            s3.create_bucket(Bucket="bench")
            s3.put_object(Bucket="bench", Key="small", Body=BODY)
            request = signed(gateway.port, member, "small")
            figures[name] = partial(cost, gateway.processes[0].pid, gateway.port, [request], len(BODY))
        off = figures.pop("off")
        for name, figure in figures.items():
            other, base, ratio = paired(figure, off)
            show(f"CPU of a 4 KiB GET: {name}", f"{other:,.0f} µs", f"tracing off {base:,.0f} µs", ratio, "")


if __name__ == "__main__":
    main()
