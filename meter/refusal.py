"""What we refuse to a person: one clear sentence, nothing half done.

The command line prints the sentence and exits with 2; the portal shows it.
"""


class Refusal(Exception):
    """str(refusal) is one sentence that names what was wrong and, where it helps, what would be right."""


class UnknownMember(Refusal):
    """No member has that name or number."""
