"""The socket a gate listens on. Light: the parent of worker processes needs nothing else of the server."""

from __future__ import annotations

import socket

from gateway.startup import StartupError


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket, which refuses connections until a server listens on it. Raises StartupError.

    `shared`: others may be bound `beside` it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if shared and port:
            _bound(family, kind, protocol, address, shared=False).close()  # or two gates would share a port unnoticed
        return _bound(family, kind, protocol, address, shared=shared)
    except OSError as error:
        raise StartupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def beside(sock: socket.socket) -> socket.socket:
    """Another socket on the address of one bound as shared: the kernel gives each that listens its share (Linux)."""
    return _bound(sock.family, sock.type, sock.proto, sock.getsockname(), shared=True)


def base_url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(family: int, kind: int, protocol: int, address: object, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)  # type: ignore[arg-type]  # what getaddrinfo or getsockname gave
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
