"""The process that runs hubs: it carries out their effects, and serves the page and the protocol over HTTP."""
