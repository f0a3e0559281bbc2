"""Hostile bytes for everything that reads bytes of others: targets, a seed corpus, and a coverage-guided driver.

`targets` has one plain function of bytes per boundary; `kit` says what none of them may do; `inputs` makes
Hypothesis strategies of the seeds, for the tests; `corpus` writes the seeds to a directory; `__main__` runs one target
for as long as it is told to.
"""
