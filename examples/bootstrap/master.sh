#!/usr/bin/env bash
# The first server: starts the broker, says what the nodes need to know, and waits until all of them have joined.
#   BPBROKER_ACCESS_KEY=KEY ./master.sh CLUSTER NODES
# It may be run again: what has been done stays as it is.
set -euo pipefail

cluster=$1
nodes=$2
key=${BPBROKER_ACCESS_KEY:?is not set: the key that all servers of the cluster are given}
here=$(cd "$(dirname "$0")" && pwd)
state=${BOOTSTRAP_STATE:-/var/lib/$cluster}
timeout=${BOOTSTRAP_TIMEOUT:-30m}
export BPBROKER=127.0.0.1
mkdir -p "$state"
answers() { bpbroker ping --data up --quiet >"$state/ping.log" 2>&1; }

# The broker's options and the extension come first: while it runs, its file is its own.
if ! answers; then
  services="\"services\": {\"_access_key\": \"$key\"}"
  extension="\"cluster\": {\"_access_key\": \"$key\", \"name\": \"$cluster\", \"members_file\": \"$state/members\"}"
  printf '%s' "{$services, $extension}" | bpbroker configure
  bpbroker install-extension --force --script "$here/cluster.mjs"

  # On a server that is to keep its broker across reboots: bpbroker install-service
  bpbroker start --detach --log-file "$state/broker.log"
fi

# From this entry on the nodes find the cluster, so it is made last. Facts go through a pipe: shells differ in quoting.
facts="{\"db_port\": ${DB_PORT:-5432}, \"nodes\": $nodes}"
printf '%s' "$facts" | bpbroker service register --if-same --name "$cluster" --data-file - --quiet

# A barrier: every node that has joined stands under this prefix.
bpbroker service list --prefix "$cluster/member/" --wait-count "$nodes" --timeout "$timeout" --quiet
echo "$cluster is complete: $nodes nodes"
