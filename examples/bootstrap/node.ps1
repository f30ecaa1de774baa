#!/usr/bin/env pwsh
# Every other server: finds the first one by the cluster's name, reads what it needs, waits for the others, and joins.
#   $env:BPBROKER_ACCESS_KEY = 'KEY'; .\node.ps1 CLUSTER [NAME]
# It may be run again, and before the first server is there.
$ErrorActionPreference = 'Stop'; function Assert-Done { if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE } }

$cluster = $args[0]
$name = if ($args[1]) { $args[1] } else { [System.Net.Dns]::GetHostName() }
if (-not $env:BPBROKER_ACCESS_KEY) { throw 'BPBROKER_ACCESS_KEY is not set: the key that all servers of the cluster are given' }
$timeout = if ($env:BOOTSTRAP_TIMEOUT) { $env:BOOTSTRAP_TIMEOUT } else { '30m' }

# No address is known: whoever holds the entry answers. From here on every command talks to that broker.
$broker = bpclient discover --name $cluster --wait --timeout $timeout --quiet; Assert-Done
$env:BPBROKER = $broker
Write-Output "found $cluster at $broker"

# The facts that the first server has left.
$db_port = bpclient service get --name $cluster --cols db_port --quiet; Assert-Done
$nodes = bpclient service get --name $cluster --cols nodes --quiet; Assert-Done
Write-Output "database at ${broker}:$db_port"

# Our own work is done here; then we say so, and wait until all the others have said so too.
bpclient service register --if-same --name "$cluster/node/$name" --data prepared --quiet; Assert-Done
bpclient service list --prefix "$cluster/node/" --wait-count $nodes --timeout $timeout --quiet; Assert-Done

# Work that only the first server can do: its extension enters us in the list of members.
$number = bpclient execute --method cluster.Join --data $name --cols number --quiet; Assert-Done
Write-Output "joined $cluster as number $number of $nodes"
