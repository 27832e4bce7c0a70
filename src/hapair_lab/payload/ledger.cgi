#!/bin/sh
# A page that stores: appends the number that it is asked with, and answers when it is on the disk.
# A full disk may take a part of it: what is whole has both brackets.
printf '<%s>\n' "$QUERY_STRING" |
    dd of=/srv/www/ledger.txt oflag=append conv=notrunc,fdatasync status=none || exit 1
answer="ok $QUERY_STRING"
printf 'Content-Type: text/plain\nContent-Length: %s\n\n%s\n' $((${#answer} + 1)) "$answer"
