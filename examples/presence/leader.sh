#!/bin/sh
# Any node may run this: one at a time does the work, in the order of asking. Usage: ./leader.sh NODES
set -eu
nodes=$1

# Not before so many agents live.
bpclient service list --prefix node/ --wait-count "$nodes" --timeout 10m --count > /dev/null

exec bpclient lock --name leader --data "$(hostname)" --wait -- sh -ec '
  living=$(bpclient service list --prefix node/ --count)
  # Refused once another is the leader, however late this comes.
  bpclient service replace --name plan --data "$living nodes" --if-locked
'
