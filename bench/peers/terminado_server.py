"""A server of terminado: a terminal for every name, which later connections find again. Prints its port."""

from __future__ import annotations

import asyncio
import sys

from terminado.management import NamedTermManager
from terminado.websocket import TermSocket
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application


async def main() -> None:
    """Serve until the process is ended."""
    manager = NamedTermManager(shell_command=sys.argv[1:])
    application = Application([(r"/ws/(\w+)", TermSocket, {"term_manager": manager})])
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(application).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
