#!/usr/bin/env pwsh
# The first server: starts the broker, says what the nodes need to know, and waits until all of them have joined.
#   $env:BPBROKER_ACCESS_KEY = 'KEY'; .\master.ps1 CLUSTER NODES
# It may be run again: what has been done stays as it is.
$ErrorActionPreference = 'Stop'; function Assert-Done { if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE } }

$cluster = $args[0]
$nodes = $args[1]
$key = $env:BPBROKER_ACCESS_KEY; if (-not $key) { throw 'BPBROKER_ACCESS_KEY is not set: the key that all servers of the cluster are given' }
$here = $PSScriptRoot
$state = if ($env:BOOTSTRAP_STATE) { $env:BOOTSTRAP_STATE } else { "$env:ProgramData\$cluster" }
$timeout = if ($env:BOOTSTRAP_TIMEOUT) { $env:BOOTSTRAP_TIMEOUT } else { '30m' }
$env:BPBROKER = '127.0.0.1'
New-Item -ItemType Directory -Force -Path $state | Out-Null
function Test-Answer { $ErrorActionPreference = 'Continue'; bpbroker ping --data up --quiet *> "$state\ping.log"; $LASTEXITCODE -eq 0 }

# The broker's options and the extension come first: while it runs, its file is its own.
if (-not (Test-Answer)) {
  $services = @{ _access_key = $key }
  $extension = @{ _access_key = $key; name = $cluster; members_file = "$state\members" }
  @{ services = $services; cluster = $extension } | ConvertTo-Json -Compress | bpbroker configure; Assert-Done
  bpbroker install-extension --force --script "$here\cluster.mjs"; Assert-Done

  # On a server that is to keep its broker across reboots: bpbroker install-service
  bpbroker start --detach --log-file "$state\broker.log"; Assert-Done
}

# From this entry on the nodes find the cluster, so it is made last. Facts go through a pipe: shells differ in quoting.
$facts = @{ db_port = [int]$(if ($env:DB_PORT) { $env:DB_PORT } else { 5432 }); nodes = [int]$nodes } | ConvertTo-Json -Compress
$facts | bpbroker service register --if-same --name $cluster --data-file - --quiet; Assert-Done

# A barrier: every node that has joined stands under this prefix.
bpbroker service list --prefix "$cluster/member/" --wait-count $nodes --timeout $timeout --quiet; Assert-Done
Write-Output "$cluster is complete: $nodes nodes"
