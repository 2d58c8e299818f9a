#!/bin/sh
# A hook on `dead`, `published`, `withdrawn` …: writes the sentence to a chat.
# The URL holds a token, and arguments can be seen by others in `ps`: so it stands in a file that only the service reads,
# as   url = "https://chat.example.com/hook?token=…"
set -eu
exec curl --config /etc/lockstep/chat.curl --fail --silent --show-error --max-time 10 \
    --data-urlencode "text=$LOCKSTEP_TEXT"
