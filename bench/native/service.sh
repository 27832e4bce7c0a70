#!/bin/sh
# The application of the measurement: start returns when it answers, stop when it is gone.
case $1 in
start) exec python3 -I -S "$(dirname "$0")/responder.py" /run/responder.pid ;;
stop)
    [ -e /run/responder.pid ] || exit 0
    kill -9 "$(cat /run/responder.pid)" 2>/dev/null
    rm -f /run/responder.pid
    ;;
*) exit 2 ;;
esac
