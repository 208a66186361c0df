"""The language a reader is told something in: which ones there are, which is spoken just now, and the catalogues.

English is the source; a catalogue is `locale/LANGUAGE/LC_MESSAGES/weir.po`, read as it is when it is first needed. What
is kept for good, or read by programs, is never made in a reader's language: whoever makes it says `speaking(SOURCE)`.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol, get_group_symbol

SOURCE = "en"
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch", "es": "Español"}
"""Code → the language's own name for itself."""
LOCALES: Mapping[str, str] = {"en": "en_GB", "de": "de", "es": "es"}
"""Code → by whose custom dates and numbers are written."""
CATALOGUES = Path(__file__).with_name("locale")
ACCEPTED_MAX = 20
"""How many languages of a browser's list are looked at."""
NUMBER = "_number"
"""Names of values that end so are numbers as `billing.money` writes them."""
LETTERS_MIN = 8
"""A message with fewer letters of its own is no phrase: it would be found in what somebody wrote."""
RETOLD = frozenset(
    {"why", "goes", "of", "by", "by_2", "formula", "words", "weighed", "what", "body", "field"}
)
"""Places that our own words fill; whatever else stands in a phrase may be what somebody typed, and stays."""
UNCHECKED = "(unchecked)"
"""What a source says of itself that we did not read in the text of the law."""
_PLACE = re.compile(r"\{(\w+)\}")
_QUALITY = re.compile(r"q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)", re.ASCII)
_spoken: ContextVar[str] = ContextVar("spoken", default=SOURCE)


def spoken() -> str:
    """The language spoken now."""
    return _spoken.get()


def speak(language: str) -> None:
    """From here on in this task."""
    _spoken.set(known(language) or SOURCE)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """For the time of the block."""
    before = _spoken.set(known(language) or SOURCE)
    try:
        yield
    finally:
        _spoken.reset(before)


def known(language: str | None) -> str | None:
    """The language, where there is a catalogue of it."""
    return language if language in LANGUAGES else None


def accepted(header: str) -> str | None:
    """The language a browser likes best of those we speak, from its Accept-Language; None where it likes none."""
    best: dict[str, tuple[int, int]] = {}
    for place, one in enumerate(header.split(",")[:ACCEPTED_MAX]):
        tag, _semicolon, more = one.strip().partition(";")
        language = known(tag.strip().lower().partition("-")[0])
        quality = _quality(more.strip())
        if language is not None and quality and (language not in best or best[language] < (quality, -place)):
            best[language] = (quality, -place)
    return max(best, key=lambda one: best[one], default=None)


def _quality(text: str) -> int:
    """In thousandths; one where nothing, or nothing readable, is said."""
    found = _QUALITY.fullmatch(text.replace(" ", ""))
    return 1000 if found is None else int(found[1].replace(".", "").ljust(4, "0"))


@cache
def read_catalogue(language: str) -> Catalog:
    """The catalogue as its file has it."""
    with CATALOGUES.joinpath(language, "LC_MESSAGES", "weir.po").open("rb") as file:
        return read_po(file, locale=language)


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Looks sentences up; of the source language it gives back what it is given."""
    if language == SOURCE:
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_catalogue(language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def separators(language: str) -> Mapping[int, str]:
    """What becomes of the comma and the point of a number as `billing.money` writes it, for str.translate()."""
    locale = LOCALES[language]
    return str.maketrans({",": get_group_symbol(locale), ".": get_decimal_symbol(locale)})


def _(message: str, /, **values: object) -> str:
    """A whole sentence, with its {named} values, in the language spoken now."""
    return translations(spoken()).gettext(message).format(**values)


def many(one: str, more: str, /, number: int, **values: object) -> str:
    """_() of what differs by how many there are; {number} is how many."""
    return translations(spoken()).ngettext(one, more, number).format(number=number, **values)


def pieces(message: str, strong: Mapping[str, str], /, **values: object) -> tuple[str, ...]:
    """_() cut at its strong values: words and strong values by turns, words first and last."""
    told = translations(spoken()).gettext(message)
    cut = _PLACE.split(told)
    found = [cut[0]]
    for name, words in zip(cut[1::2], cut[2::2], strict=True):
        if name in strong:
            found += [strong[name], words]
        else:
            found[-1] += f"{values[name]}{words}"
    return tuple(found)


def phrase(text: str) -> str:
    """A sentence that comes finished from elsewhere, a refusal or a step of a closing, recognised by what it is made of.

    What nobody translated stays as it is. A value stands as it was, but for numbers and RETOLD.
    """
    language = spoken()
    if language == SOURCE or not text:
        return text
    told = translations(language).gettext(text)
    if told != text:
        return told
    for pattern, message in _patterns(language):
        found = pattern.fullmatch(text)
        if found is not None:
            return _filled(translations(language).gettext(message), found.groupdict())
    return text


def cited(source: str) -> str:
    """Where something is written: a law keeps its own name, and what we say beside it is told where there are words."""
    told = translations(spoken()).gettext(source) if source else source
    return told if told != source else source.replace(UNCHECKED, _(UNCHECKED))


def _filled(message: str, values: Mapping[str, str]) -> str:
    told = {
        name: value.translate(separators(spoken()))
        if name.endswith(NUMBER)
        else phrase(value)
        if name in RETOLD
        else value
        for name, value in values.items()
    }
    return _PLACE.sub(lambda place: told.get(place[1], place[0]), message)


@cache
def _patterns(language: str) -> Iterable[tuple[re.Pattern[str], str]]:
    """(what it looks like filled in, message) of all that have places, in the order in which they are tried."""
    found = []
    for message in read_catalogue(language):
        if isinstance(message.id, str) and not message.context and _PLACE.search(message.id):
            pieces = _PLACE.split(message.id)
            words = "".join(pieces[::2])
            if sum(one.isalpha() for one in words) >= LETTERS_MIN:
                found.append((not pieces[0], -len(words), _pattern(pieces), message.id))
    # One that begins with words of its own first: a place at the beginning would take in another's beginning.
    return [(pattern, message) for *_, pattern, message in sorted(found, key=lambda one: one[:2])]


def _pattern(pieces: list[str]) -> re.Pattern[str]:
    """Pieces: words of its own and names of places by turns."""
    seen: set[str] = set()
    made = ""
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            made += re.escape(piece)
        elif piece in seen:
            made += f"(?P={piece})"
        else:
            seen.add(piece)
            made += f"(?P<{piece}>.*)"
    return re.compile(made, re.DOTALL)
