#!/bin/sh
# What a node runs: as long as it does, `node/NAME` exists. Usage: ./agent.sh NAME ADDRESS
set -eu
name=$1
address=$2

# The work of a real agent; here it waits to be told to end.
exec bpclient lock --name "node/$name" --data "$address" --wait --ttl 10s -- \
  sh -c 'trap "exit 0" TERM INT; while :; do sleep 1 & wait $!; done'
