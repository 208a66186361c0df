"""weir metrics: what a scrape holds."""

from __future__ import annotations

import click

from deploy.commands.options import json_option
from deploy.observe.catalogue import CATALOGUE
from deploy.observe.page import labels_text
from deploy.output import print_json, print_table


@click.group()
def metrics() -> None:
    """What /metrics of the admin listener tells."""


@metrics.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every metric with its kind, labels, unit and who exports it; no Weir needs to run."""
    if as_json:
        print_json(
            {
                "metrics": [
                    {
                        "name": one.name, "type": one.kind.value, "unit": one.unit,
                        "labels": {name: list(values) for name, values in one.labels.items()},
                        "exporter": one.exporter.value, "help": one.meaning,
                    }
                    for one in CATALOGUE.values()
                ]
            }
        )  # fmt: skip
        return
    print_table(
        ("metric", "type", "unit", "labels", "exported by", "what it is"),
        [
            (one.name, one.kind.value, one.unit, labels_text(one), one.exporter.value, one.meaning)
            for one in CATALOGUE.values()
        ],
    )
