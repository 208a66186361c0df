"""The catalogues: complete, with the same places as the source, and nothing that nobody says any more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from jinja2 import Environment

from billing.pages import TEMPLATES
from billing.tongue import LANGUAGES, SOURCE, many, read_catalogue, speaking, translations
from tests.catalogues import NOT_FOR_MEMBERS, catalogue_path, template

OTHERS = [one for one in LANGUAGES if one != SOURCE]
SAME_IN = {
    "de": {"GB", "us-east1", "Passkeys", "In ~/.s3cfg", "In ~/.config/rclone/rclone.conf", "In ~/.aws/config", "Region", "Name", "Bucket", "Status", "Gateways", "Token", "Version"},
    "es": {"GB", "us-east1", "bucket", "Bucket", "bucket {number}", "bytes", "%(count)s bytes", "Bytes %(by_what)s", "peering", "internet", "No", "Token"},
}  # fmt: skip
"""What is the same word in both languages; whatever else is the same was forgotten."""
PLACES = re.compile(r"%\(\w+\)s|\{\w+\}|%%|\\\d|</?\w+[^>]*>")
WORD = re.compile(r"[^\W\d_]{2,}")


def strings(told: object) -> tuple[str, ...]:
    """A translation, or those of each number."""
    return (told,) if isinstance(told, str) else tuple(told or ())  # type: ignore[arg-type]


def messages(language: str) -> Iterator[Message]:
    """All but the head."""
    return (one for one in read_catalogue(language) if one.id)


@pytest.fixture(scope="module")
def wanted() -> Catalog:
    return template()


@pytest.mark.parametrize("language", OTHERS)
def test_each_catalogue_has_every_sentence_and_no_other(language: str, wanted: Catalog) -> None:
    said = {strings(one.id) for one in wanted if one.id}
    kept = {strings(one.id) for one in messages(language)}
    assert (set(), set()) == (said - kept, kept - said), "run `make catalogues`, and translate what is new"
    assert len(said) > 1400


@pytest.mark.parametrize("language", OTHERS)
def test_everything_is_translated_and_nothing_is_guessed(language: str) -> None:
    for one in messages(language):
        told = strings(one.string)
        assert all(told), one.id
        assert "fuzzy" not in one.flags, one.id
        is_same = strings(one.id)[:1] == told[:1]
        words = WORD.search(PLACES.sub("", strings(one.id)[0]))
        assert not is_same or not words or strings(one.id)[0] in SAME_IN[language], one.id
    with catalogue_path(language).open("rb") as file:
        assert {} == read_po(file, locale=language).obsolete


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_and_marks_of_its_source(language: str) -> None:
    for one in messages(language):
        for told in strings(one.string):
            source = strings(one.id)[-1]
            assert Counter(PLACES.findall(source)) == Counter(PLACES.findall(told)), (one.id, told)
            # What stands around it is the page's; a quotation mark would end an attribute, and a tag is never new.
            assert (source != source.strip()) == (told != told.strip()), one.id
            assert source.count("\n\n") == told.count("\n\n"), one.id
            assert '"' not in PLACES.sub("", told), one.id
            assert not set("<>&") & set(PLACES.sub("", told)), one.id


@pytest.mark.parametrize("language", OTHERS)
def test_one_and_many_are_told_apart(language: str) -> None:
    assert 2 == read_catalogue(language).num_plurals
    plurals = [one for one in messages(language) if one.pluralizable]
    assert len(plurals) > 3
    for one in plurals:
        assert 2 == len(set(strings(one.string))), one.id
    with speaking(language):
        told = [
            many(
                "You are a customer of a co-op of {count} member.",
                "You are a customer of a co-op of {count} members.",
                number=count, count=count,
            )
            for count in (0, 1, 2)
        ]  # fmt: skip
    words = {"de": ("Mitgliedern", "Mitglied", "Mitgliedern"), "es": ("personas", "persona", "personas")}
    assert [True] * 3 == [
        re.search(rf"\b{word}\b", one) is not None for word, one in zip(words[language], told, strict=True)
    ]


def test_no_text_of_a_page_is_left_unmarked() -> None:
    """What is between tags, outside of what is marked and of what comes in as a value, has no letters."""
    for path in sorted(TEMPLATES.glob("*.html")):
        if path.name in NOT_FOR_MEMBERS:
            continue
        found = unmarked(path.read_text("utf-8"))
        assert [] == [one for one in found if one not in NAMES], path.name


def test_between_two_marked_sentences_stands_a_blank() -> None:
    """Jinja takes the end of a tag's line and the blanks before the next tag, so sentences would stick together."""
    for path in sorted(TEMPLATES.glob("*.html")):
        assert [] == re.findall(r"\{% endtrans %\}\n *\{% trans.*", path.read_text("utf-8")), path.name


NAMES = {"Weir", "PDF", "CSV", "JSON", "SHA"}


def unmarked(source: str) -> list[str]:
    """Words a reader would see in any language as they are."""
    environment = Environment(autoescape=True, extensions=["jinja2.ext.i18n"], trim_blocks=True)
    bare, depth, before, loose = "", 0, ["", ""], []
    for _line, kind, value in environment.lex(source):
        if kind == "name" and value in ("trans", "endtrans"):
            depth += 1 if value == "trans" else -1
        elif (
            kind == "string" and before[-2:] != ["_", "("] and re.search(r"^[A-Z]|\w \w", value.strip("'\" "))
        ):
            loose.append(value.strip("'\""))
        elif kind == "data" and not depth:
            bare += value
        elif kind in ("variable_end", "block_end"):
            bare += "\N{OBJECT REPLACEMENT CHARACTER}"
        if kind != "whitespace":
            before.append(value)
    bare = re.sub(r"(?:weir login-link|x-amz-request-id)[\w -]*", "", bare)
    shown = re.findall(r"(?:aria-label|title|placeholder|alt)=\"([^\"]*)\"", bare)
    shown += re.split(r"<[^>]*>", re.sub(r"(?s)<code>[^<]*</code>", "", bare))
    return loose + [word for one in shown for word in WORD.findall(re.sub(r"&\w+;", "", one))]


def test_an_unmarked_word_would_be_found() -> None:
    page = '<p class="x">{% trans %}marked{% endtrans %} forgotten {{ value }}</p><a aria-label="also">{{ _("x") }}</a>'
    assert ["also", "forgotten"] == unmarked(page)
    assert ["in a value"] == unmarked(
        '<p>{{ "in a value" if x else _("marked") }}{{ x.replace("a", "b") }}</p>'
    )


def test_the_source_gives_back_what_it_is_given() -> None:
    assert "This month" == translations(SOURCE).gettext("This month")
