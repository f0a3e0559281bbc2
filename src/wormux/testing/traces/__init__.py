"""Traces: what a server says to a client, what the client must answer, and what it must know then.

`format` reads and writes them, `player` plays one to a `SimClient`, `recorder` makes one of a simulated story. The
page's core plays the same ones (`web/src/core/testing/trace.ts`). The format stands in `tests/traces/README.md`.
"""
