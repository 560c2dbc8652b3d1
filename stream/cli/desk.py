"""`mgfn-stream desk`: one page for every instance on a broker."""

from __future__ import annotations

from pathlib import Path

from stream.base.addresses import parse_broker, prefix_problem
from stream.base.errors import UsageError
from stream.base.log import configure, log, serve
from stream.desk.app import desk_app
from stream.desk.listener import DeskListener
from stream.sinks.mqtt_client import TlsFiles
from stream.web import server as web


def serve_desk(broker: str, tls: TlsFiles, prefixes: list[str], address: str, token_file: Path | None) -> None:
    """Serve the page until stopped. Raises UsageError."""
    for prefix in prefixes:
        if problem := prefix_problem(prefix):
            raise UsageError(f"--topic-prefix {prefix!r}: {problem}")
    parsed = parse_broker(broker)
    serve()
    configure([] if not parsed.password else [parsed.password])
    listener, people = web.bind(address, token_file)
    board = DeskListener(parsed, tls, prefixes)
    with listener:
        log.info("desk", address=web.page_address(listener), broker=parsed.shown)
        board.start()
        try:
            web.make_server(desk_app(board, people), people).run(sockets=[listener])
        finally:
            board.stop()
