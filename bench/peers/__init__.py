"""Wormux beside others: `make bench-peers`. One run, one shell, one client's machinery, for all of them."""
