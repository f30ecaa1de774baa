#!/bin/sh
# The methods of echo.ts, as a shell script: the method is its first argument, the request stands on its standard
# input as JSON, the answer goes to its standard output, and an error, with a non-zero exit, to its standard error.
set -eu

case "$1" in
  Echo)
    cat # the whole request: module, method, data, params, client_address, config
    ;;
  Count)
    # Of JSON, a shell reads simple values well enough; for more, use a program that is made for it.
    last=$(sed -n 's/.*"data":"\{0,1\}\([0-9]\{1,4\}\)[",].*/\1/p')
    [ -n "$last" ] || { echo "Cannot count: expected --data with a number" >&2; exit 1; }
    n=1
    while [ "$n" -le "$last" ]; do
      echo "$n"
      n=$((n + 1))
    done
    ;;
  *)
    echo "No method '$1'; there are Echo, Count" >&2
    exit 1
    ;;
esac
