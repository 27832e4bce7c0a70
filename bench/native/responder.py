"""Answers each datagram with its own content; goes to the background once it can."""

import os
import pathlib
import socket
import sys

PORT = 7070
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", PORT))
if child := os.fork():
    pathlib.Path(sys.argv[1]).write_text(str(child))
    os._exit(0)
os.setsid()
while True:
    datagram, source = receiver.recvfrom(2048)
    receiver.sendto(datagram, source)
