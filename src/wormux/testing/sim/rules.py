"""What must hold in a simulated world, by name: each rule is a sentence, and what breaks it says which one."""

from __future__ import annotations

from dataclasses import dataclass


class Broken(AssertionError):
    """A rule does not hold."""

    def __init__(self, rule: Rule, detail: str = "") -> None:
        super().__init__(f"[{rule.name}] {rule.sentence}{f' But: {detail}' if detail else ''}")
        self.rule = rule
        self.detail = detail


@dataclass(frozen=True)
class Rule:
    """One sentence that is always true of a right hub."""

    name: str
    sentence: str

    def expect(self, condition: object, detail: str = "") -> None:
        """Raises `Broken` unless `condition`; `detail` says what was seen instead."""
        if not condition:
            raise Broken(self, detail)


RULES: dict[str, Rule] = {}
"""All of them, by name."""


def rule(name: str, sentence: str) -> Rule:
    """A new rule."""
    assert name not in RULES, f"There are two rules of the name {name}."
    RULES[name] = Rule(name, sentence)
    return RULES[name]
