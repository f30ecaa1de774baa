#!/usr/bin/env bash
# Every other server: finds the first one by the cluster's name, reads what it needs, waits for the others, and joins.
#   BPBROKER_ACCESS_KEY=KEY ./node.sh CLUSTER [NAME]
# It may be run again, and before the first server is there.
set -euo pipefail

cluster=$1
name=${2:-$(hostname)}
: "${BPBROKER_ACCESS_KEY:?is not set: the key that all servers of the cluster are given}"
timeout=${BOOTSTRAP_TIMEOUT:-30m}

# No address is known: whoever holds the entry answers. From here on every command talks to that broker.
broker=$(bpclient discover --name "$cluster" --wait --timeout "$timeout" --quiet)
export BPBROKER=$broker
echo "found $cluster at $broker"

# The facts that the first server has left.
db_port=$(bpclient service get --name "$cluster" --cols db_port --quiet)
nodes=$(bpclient service get --name "$cluster" --cols nodes --quiet)
echo "database at $broker:$db_port"

# Our own work is done here; then we say so, and wait until all the others have said so too.
bpclient service register --if-same --name "$cluster/node/$name" --data prepared --quiet
bpclient service list --prefix "$cluster/node/" --wait-count "$nodes" --timeout "$timeout" --quiet

# Work that only the first server can do: its extension enters us in the list of members.
number=$(bpclient execute --method cluster.Join --data "$name" --cols number --quiet)
echo "joined $cluster as number $number of $nodes"
