#!/usr/bin/env bash
# Joins this host to a cluster, and waits until it is complete:
#
#   CLUSTER=shop-cluster1 CLUSTER_KEY=… NODES=3 ./node.sh
#
# CLUSTER, CLUSTER_KEY  as for master.sh
# NODES                 how many nodes the cluster has
# NODE                  this node's name; default: the host name
# HOSTS                 where to put the list of all nodes; default /etc/cluster-hosts
# BPBROKER_UDP_PORT     the port that the master's broker listens on; default 20443
set -euo pipefail

: "${CLUSTER:?the name of the cluster}" "${CLUSTER_KEY:?the key that nodes join with}" "${NODES:?how many nodes}"
node=${NODE:-$(hostname)}

# Nobody knows the master's address: the broker that holds the cluster's name is it. It may start later than this.
eval "$(bpclient discover --name "$CLUSTER" --wait --timeout 10m --port "${BPBROKER_UDP_PORT:-20443}" --format env)"
export BPBROKER

number=$(BPBROKER_ACCESS_KEY=$CLUSTER_KEY \
  bpclient execute --method cluster.AddNode --data "$node" --cols number)

# Here the node would be set up as its number asks for.
bpclient service register --name "$CLUSTER/ready/$number" --data "$node" --if-same > /dev/null

# A barrier: goes on when all nodes have come this far.
bpclient service list --prefix "$CLUSTER/ready/" --wait-count "$NODES" --timeout 10m > /dev/null

BPBROKER_ACCESS_KEY=$CLUSTER_KEY bpclient execute --method cluster.Hosts > "${HOSTS:-/etc/cluster-hosts}"
echo "$node is node $number of $NODES"
