"""The client that never stops: sends a number every few milliseconds, writes what came back.

Each line it prints is the time of an answer (CLOCK_MONOTONIC, seconds) and the number.
"""

import contextlib
import select
import socket
import sys
import time

EVERY_S = 0.005
service = (sys.argv[1], int(sys.argv[2]))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.settimeout(0.0)
number = 0
next_s = time.monotonic()
while True:
    now_s = time.monotonic()
    if now_s >= next_s:
        number += 1
        next_s = now_s + EVERY_S
        with contextlib.suppress(OSError):  # No machine has the address just now.
            sender.sendto(str(number).encode(), service)
    ready, _, _ = select.select([sender], [], [], max(next_s - time.monotonic(), 0))
    if ready:
        try:
            answer = sender.recv(2048)
        except OSError:
            continue
        print(f"{time.monotonic():.6f} {answer.decode()}", flush=True)
