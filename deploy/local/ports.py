"""Ports of this machine: is one free, who has it, which one may be had."""

from __future__ import annotations

import socket
import time

import psutil

POLL_S = 0.05


def is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def becomes_free(host: str, port: int, *, timeout_s: float) -> bool:
    """Whether the port is free, now or within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_free(host, port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def answers(host: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_of(process: psutil.Process, port: int) -> bool:
    """Whether `process` listens on `port`, as far as the system says."""
    try:
        listening = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in listening)


def owner(port: int) -> str:
    """Who listens on `port`, as `name, pid 123`; `another process` where the system does not say."""
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        pid = next((c.pid for c in listening if c.laddr and c.laddr.port == port), None)
        return f"{psutil.Process(pid).name()}, pid {pid}" if pid else "another process"
    except psutil.Error:
        return "another process"
