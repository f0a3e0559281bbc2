"""The commands of the command line, a module each: `add` tells the parser of it, and its function `run` runs it."""
