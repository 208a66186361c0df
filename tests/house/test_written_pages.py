"""What the pages say is so: settings, commands, metrics, links, tests, modules, prices and the worked example."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from billing.charges.tariff import DEFAULT_TARIFF
from billing.money import apportion
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.page import tables
from deploy.cli import weir
from deploy.commands.simulate import simulate
from deploy.observe.catalogue import CATALOGUE, Exporter
from deploy.observe.page import page
from deploy.settings import everything, fields
from gateway import compatibility
from tests.house import rules

ROOT = Path(__file__).resolve().parents[2]
PLACES = [ROOT.glob("*.md"), *((ROOT / place).rglob("*.md") for place in ("docs", *rules.ROOMS))]
PAGES = {str(path.relative_to(ROOT)): path.read_text("utf-8") for place in PLACES for path in sorted(place)}
FOR_PEOPLE = [name for name in PAGES if name == "README.md" or name.startswith("docs/")]
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for room in rules.ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
}
OF_A_MACHINE = re.compile(r"/(?:work|tmp|home|root|Users)/[a-z]")
METRIC = re.compile(r"\bweir_[a-z]+_[a-z_]+\b")


def code_of(text: str) -> Iterator[str]:
    """Lines of code blocks, and code inside sentences."""
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip().removeprefix("$ ")
        else:
            yield from re.findall(r"`([^`]+)`", line)


def subcommands(group: click.Command) -> dict[str, click.Command]:
    """A group's commands by name; none for a command that is no group."""
    if not isinstance(group, click.Group):
        return {}
    context = click.Context(group)
    found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return {name: command for name, command in found if command is not None}


SUBJECTS = subcommands(weir)


def commands_in(text: str) -> set[str]:
    """'usage', 'bill trial', …: what is written after `weir`, without its arguments."""
    found = set()
    for code in code_of(text):
        words = code.split()
        if words[:1] == ["weir"] and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
            deeper = words[1] in SUBJECTS and subcommands(SUBJECTS[words[1]]) and len(words) > 2
            found.add(" ".join(words[1:3] if deeper else words[1:2]))
    return {one for one in found if not one.startswith("-")}


def commands_there() -> set[str]:
    """Every command of the tree that does something."""
    return {
        f"{name} {inner}" if inner else name
        for name, command in SUBJECTS.items()
        for inner in (subcommands(command) or ("",))
    }


def anchors_of(text: str) -> set[str]:
    """What a link's '#…' may name: headings in small letters, blanks as '-'."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def broken_links(name: str, text: str) -> Iterator[str]:
    """Relative links of a page that lead nowhere."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists():
            yield f"{name}: {target} is not there"
        elif anchor and anchor not in anchors_of(path.read_text("utf-8")):
            yield f"{name}: {target} names no heading"


CHECKLIST = (("A", 15), ("B", 10), ("C", 5), ("D", 11), ("E", 4), ("F", 4), ("G", 21))
"""Chapters of the security page and how many lines each has; a line is never dropped to make a test pass."""


def chapter(title: str) -> str:
    """One chapter of ARCHITECTURE.md."""
    return PAGES["ARCHITECTURE.md"].split(f"\n## {title}\n")[1].split("\n## ")[0]


def paths_on_the_map() -> set[str]:
    return set(re.findall(r"`((?:meter|gateway|billing|deploy)/[\w/.]+)`", PAGES["docs/code-map.md"]))


def test_every_setting_is_on_the_operators_page_with_its_default() -> None:
    page = PAGES["docs/operators.md"]
    defaults = {name: kind.model_fields[name].default for _, kind, name in fields()}
    wanted = [
        f"| `{row.name}` | {f'`{default}`' if str(default) else 'empty'} | {row.description} |"
        for row in everything()
        for default in (defaults[row.name],)
    ]
    assert [] == [line for line in wanted if line not in page]


def test_the_operators_page_has_no_setting_that_is_gone() -> None:
    written = set(
        re.findall(
            r"^\| `([a-z_]+)` \|", PAGES["docs/operators.md"].split("\n## Settings\n")[1], re.MULTILINE
        )
    )
    assert {row.name for row in everything()} == written


def test_every_command_that_is_written_exists() -> None:
    there = commands_there() | set(SUBJECTS)
    assert len(there) > 20
    assert {} == {name: gone for name, text in PAGES.items() if (gone := commands_in(text) - there)}


def test_every_command_is_explained_to_somebody() -> None:
    written = set().union(*(commands_in(PAGES[name]) for name in FOR_PEOPLE))
    assert set() == commands_there() - written


def test_every_metric_that_is_told_is_in_the_catalogue_and_no_other_is() -> None:
    own = "deploy/observe/catalogue.py"
    emitted = {name for path, text in SOURCES.items() if path != own for name in METRIC.findall(text)}
    assert emitted == set(CATALOGUE)


def test_the_metrics_page_is_the_catalogue() -> None:
    assert page() == PAGES["docs/metrics.md"]


def test_no_page_names_a_metric_that_is_not_there() -> None:
    endings = ("_bucket", "_count", "_sum")
    wanted = {*CATALOGUE, *(f"{name}{end}" for name in CATALOGUE for end in endings)}
    assert {} == {name: gone for name, text in PAGES.items() if (gone := set(METRIC.findall(text)) - wanted)}


def test_only_the_ledger_exporter_names_members_and_nobody_names_a_bucket() -> None:
    labels = {(one.exporter, label) for one in CATALOGUE.values() for label in one.labels}
    assert {Exporter.LEDGER} == {exporter for exporter, label in labels if label == "member"}
    assert set() == {label for _, label in labels if label in ("bucket", "key", "name", "address")}


def test_links_lead_somewhere() -> None:
    assert [] == [one for name, text in PAGES.items() for one in broken_links(name, text)]


def test_each_invariant_names_tests_that_exist() -> None:
    told = re.split(r"^(\d+)\. \*\*", chapter("Invariants"), flags=re.MULTILINE)
    numbers, texts = told[1::2], told[2::2]
    assert [str(number) for number in range(1, 14)] == numbers
    known = {
        f"{path.name}::{test}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    named = {
        number: set(re.findall(r"`(test_\w+\.py::\w+)`", text))
        for number, text in zip(numbers, texts, strict=True)
    }
    assert [] == [number for number, tests in named.items() if not tests]
    assert set() == set().union(*named.values()) - known


def test_each_line_of_the_security_page_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| ([A-G]\d\d) \|.*\| ([^|]*) \|$", PAGES["docs/security.md"], re.MULTILINE)
    assert [f"{letter}{number:02d}" for letter, count in CHECKLIST for number in range(1, count + 1)] == [
        name for name, _ in rows
    ]
    known = {
        test
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    named = {name: set(re.findall(r"`(test_\w+)`", tests)) for name, tests in rows}
    assert [] == [name for name, tests in named.items() if not tests]
    assert set() == set().union(*named.values()) - known


def test_what_is_on_the_map_exists() -> None:
    assert [] == sorted(name for name in paths_on_the_map() if not (ROOT / name).exists())


def test_every_module_is_on_the_map() -> None:
    modules = {name for name in SOURCES if not name.endswith("__init__.py") and name != "deploy/__main__.py"}
    assert [] == sorted(modules - paths_on_the_map())


def test_a_module_called_pure_is_held_to_it() -> None:
    """What the house checks for purity is marked so on the map."""
    rows = [line for line in PAGES["docs/code-map.md"].splitlines() if "○" in line]
    marked = {path for row in rows for path in re.findall(r"`([\w/]+\.py)`", row)}
    assert [] == sorted(rules.PURE - marked)


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    asked = [*project["project"]["dependencies"], *(one for extra in (*extras, *groups) for one in extra)]
    names = {re.split(r"[<>=\[ ]", one)[0] for one in asked if isinstance(one, str)}
    assert [] == sorted(name for name in names if f"`{name}`" not in chapter("Dependencies"))


def test_the_compatibility_page_is_the_operation_table() -> None:
    assert compatibility.page() == PAGES["docs/s3.md"]


def test_the_tables_of_rule_sets_are_their_files() -> None:
    assert PAGES["docs/rulesets.md"].endswith("\n" + tables(map(rule_set, rule_set_ids())))


@pytest.mark.parametrize(
    "text",
    [
        '{"currency":"EUR","members":[{"id":"a","class":"user"}],"zzzzzzzz":1}',
        '{"currency":"EUR","members":[{"id":"a","class":"user","zzzzzzzz":1}]}',
        '{"currency":"EUR","members":[{"id":"a","class":"user"}],"reserves":{"zzzzzzzz":1}}',
    ],
)
def test_every_key_of_a_simulation_is_explained(text: str) -> None:
    told = str(CliRunner().invoke(simulate, ["-"], input=text).exception)
    known = told.partition("known are ")[2].split(", ")
    assert len(known) > 3
    assert [] == [key for key in known if f"`{key}`" not in PAGES["docs/rulesets.md"]]


def test_the_worked_simulation_is_what_comes_out() -> None:
    page = PAGES["docs/rulesets.md"]
    example = "{" + page.split("\n    {", 1)[1].split("\n\n", 1)[0]
    told = CliRunner().invoke(simulate, ["--table", "-"], input=example)
    assert told.exit_code == 0, told.exception
    printed = [line.rstrip() for line in told.stdout.splitlines() if line and not line.startswith("note:")]
    assert [] == [line for line in printed if f"    {line}\n" not in page]


def test_the_tariff_in_the_treasurers_page_is_the_one_that_is_shipped() -> None:
    prices = [line for line in DEFAULT_TARIFF.read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert [] == [line for line in prices if f"    {line}\n" not in PAGES["docs/treasurers.md"]]


def test_the_worked_example_is_what_comes_out() -> None:
    page = PAGES["docs/treasurers.md"]
    charges = {
        name: int(
            re.findall(rf"\| {name}'s charges \| ([\d,.]+) \|", page)[0].replace(",", "").replace(".", "")
        )
        for name in ("anna", "ben", "carla")
    }
    shares = {
        name: int(re.findall(rf"\| {name} \|.*\*\*([\d.]+)\*\* \|", page)[0].replace(".", ""))
        for name in charges
    }
    assert shares == apportion(72_000, charges)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_names_a_place_of_some_machine(name: str) -> None:
    assert [] == OF_A_MACHINE.findall(PAGES[name])


def test_planted_faults_are_seen() -> None:
    assert {"bill trail", "fly"} == commands_in(
        "    weir bill trail 2026-11\nSee `weir fly`, not weir swim.\n"
    )
    assert ["CHANGELOG.md: gone.md is not there", "CHANGELOG.md: STYLE.md#none names no heading"] == list(
        broken_links("CHANGELOG.md", "[a](gone.md) [b](STYLE.md#none) [c](STYLE.md#numbers-and-time)")
    )
    assert OF_A_MACHINE.search("see /home/anna")
