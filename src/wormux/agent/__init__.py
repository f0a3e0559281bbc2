"""Runs in the sandbox, beside its shells: owns their PTYs, keeps their recent output, says who is busy.

One process per sandbox on a bare Python 3.9, the standard library alone. A reader starts at `agent`.
"""
