#!/usr/bin/env bash
# Makes this host the master of a cluster:
#
#   CLUSTER=shop-cluster1 CLUSTER_KEY=… ./master.sh
#
# CLUSTER      the name by which the nodes find it
# CLUSTER_KEY  what the nodes must know to join: `bpbroker keygen` makes one
# HOSTS        the file that lists the nodes; default /etc/cluster-hosts
set -euo pipefail

: "${CLUSTER:?the name of the cluster}" "${CLUSTER_KEY:?the key that its nodes join with}"
here=$(cd "$(dirname "$0")" && pwd)

bpbroker install-extension --script "$here/cluster.ts" --force > /dev/null 2>&1
# What stands already is kept, so that this may run a second time.
bpbroker configure > /dev/null <<< "{
  \"cluster\": {\"_access_key\": \"$CLUSTER_KEY\", \"hosts\": \"${HOSTS:-/etc/cluster-hosts}\"}
}"

bpbroker start &
broker=$!
trap 'kill "$broker"; wait "$broker"' TERM INT

# Ready from here on: whoever waits for the cluster finds it by this entry.
until bpclient --bpbroker "127.0.0.1:${BPBROKER_LISTEN_PORT:-20443}" \
  service register --name "$CLUSTER" --data '{"state": "ready"}' --if-same > /dev/null 2>&1; do
  kill -0 "$broker" # it has ended: so does this
  sleep 0.2
done
echo "master of $CLUSTER is ready"
wait "$broker"
