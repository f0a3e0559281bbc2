"""Where shells run: the `Provider` port and its implementations."""
