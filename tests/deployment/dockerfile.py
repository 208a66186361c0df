"""The Dockerfile read as far as ours goes: its stages and steps, and which files .dockerignore lets in."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Stage:
    """What stands between two FROM lines."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    """(instruction, the rest of it), in order; lines that go on are joined."""

    def of(self, instruction: str) -> list[str]:
        """The rests of all steps of one kind."""
        return [rest for name, rest in self.steps if name == instruction]

    def environment(self) -> dict[str, str]:
        """What ENV lines say."""
        return dict(one.split("=", 1) for rest in self.of("ENV") for one in rest.split())


def stages(text: str) -> list[Stage]:
    """The stages in order."""
    found: list[Stage] = []
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, rest = line.split(None, 1)
        if name == "FROM":
            found.append(Stage(rest.split()[0]))
        else:
            found[-1].steps.append((name, rest))
    return found


def lets_in(rules: list[str], path: str) -> bool:
    """Whether .dockerignore lets a file into the build: the last rule that fits it or a folder above it decides."""
    allowed = True
    parts = Path(path).parts
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for rule in rules:
        pattern = rule.removeprefix("!")
        anywhere = pattern.removeprefix("**/")
        fits = any(
            (fnmatch.fnmatchcase(one, pattern) and one.count("/") == pattern.count("/"))
            or (anywhere != pattern and fnmatch.fnmatchcase(one.rsplit("/", 1)[-1], anywhere))
            for one in above
        )  # fmt: skip
        if fits:
            allowed = rule.startswith("!")
    return allowed
