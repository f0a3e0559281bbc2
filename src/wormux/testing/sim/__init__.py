"""A simulated surrounding of the hub: see `world`."""
