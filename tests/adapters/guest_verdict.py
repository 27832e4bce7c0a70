"""Runs inside a guest in the daemon's place: every request gets the verdict of the command line."""

import socketserver
import sys
from pathlib import Path

from hapair.rpc.messages import Result, RpcError, dump_answer, parse_request
from hapair.runtime.places import Places


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = parse_request(self.rfile.readline())
        known = request.verb == "fence-peer" and request.args == {"resource": "orders.data"}
        answer = Result({"verdict": sys.argv[1]}) if known else RpcError(f"what? {request}")
        self.wfile.write(dump_answer(answer))


def main(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    with socketserver.UnixStreamServer(str(place), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(Places().control_socket)
