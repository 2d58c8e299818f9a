"""Route 53 by moto on loopback, behind a small relay that can lose answers, refuse and fall silent."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.servers_http import HttpServer, Request, Response

KEYS = {"aws_access_key_id": "AKIATESTKEY", "aws_secret_access_key": "route53-s3cret-never-shown"}


class Relay:
    """Passes requests on to moto as they are."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, request: Request) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            query = "&".join(f"{name}={value}" for name, value in request.query.items())
            target = request.path + (f"?{query}" if query else "")
            headers = {n: v for n, v in request.headers.items() if n not in ("host", "content-length")}
            connection.request(request.method, target, request.body, headers)
            answer = connection.getresponse()
            return Response(answer.status, answer.read(), answer.headers.get("Content-Type", "text/xml"))
        finally:
            connection.close()


def refusal(status: int, code: str) -> Response:
    """A refusal as Route 53 writes it."""
    body = (
        '<ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>refused</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
    return Response(status, body.encode(), "text/xml")


def _forget_everything(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
    connection.close()


@contextmanager
def route53_server(zone: str = "example.com") -> Iterator[tuple[HttpServer, object, str]]:
    """The relay's server, a boto3 client of our own past it, and the id of the zone."""
    app = DomainDispatcherApplication(create_backend_app)
    moto = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=moto.serve_forever, args=(0.02,), name="moto-server")
    thread.start()
    try:
        direct = f"http://127.0.0.1:{moto.port}"
        _forget_everything(moto.port)  # what moto holds is the process's, not the server's
        client = boto3.client("route53", region_name="us-east-1", endpoint_url=direct, **KEYS)
        zone_id = client.create_hosted_zone(Name=zone, CallerReference=direct)["HostedZone"]["Id"]
        with HttpServer(Relay(moto.port)) as server:
            yield server, client, zone_id.rpartition("/")[2]
        client.close()
    finally:
        moto.shutdown()
        thread.join()
        moto.server_close()
