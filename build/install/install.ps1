#requires -Version 5.1
<#
Installs bpbroker.exe and bpclient.exe, or bpclient.exe alone, on Windows, in %ProgramFiles%\bpbroker\bin for an administrator, else in
%LOCALAPPDATA%\Programs\bpbroker. Every parameter has a variable of the environment, for `irm URL | iex`.
#>
param(
  # Installs bpclient alone: a smaller program with the client commands.
  [switch] $Client = ($env:BPBROKER_INSTALL_CLIENT -eq '1'),
  # Version to install, such as 1.0.0; default: the latest.
  [string] $Version = $env:BPBROKER_VERSION,
  # Folder for the programs.
  [string] $Dir = $env:BPBROKER_INSTALL_DIR,
  # Folder that holds the release's files; default: GitHub's releases of bpbroker/bpbroker.
  [string] $Url = $env:BPBROKER_INSTALL_URL,
  # Accepts a URL with http:// too: then anyone on the network path can replace programs and checksums.
  [switch] $PlainHttp = ($env:BPBROKER_INSTALL_PLAIN_HTTP -eq '1')
)

# A second name for a file, or a copy if the file system has no second names.
function Add-Name([string] $File, [string] $Name) {
  try {
    New-Item -ItemType HardLink -Path $Name -Value $File -ErrorAction Stop | Out-Null
  } catch {
    Copy-Item -LiteralPath $File -Destination $Name -Force -ErrorAction Stop
  }
}

# A function, so that its preferences end with it: `iex` runs this in the caller's session.
function Install-Bpbroker([string] $Version, [string] $Dir, [string] $Url, [bool] $PlainHttp, [bool] $Client) {
  $ErrorActionPreference = 'Stop'
  # Drawing the progress of a download takes longer than the download.
  $ProgressPreference = 'SilentlyContinue'
  [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

  # The public key that signs releases, in the form of ssh-keygen. The build of a signed release fills it in.
  $signingKey = ''
  $product = if ($Client) { 'bpclient' } else { 'bpbroker' }
  $programs = if ($Client) { 'bpclient' } else { 'bpbroker', 'bpclient' }

  $processor = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
  $target = switch ($processor) {
    'AMD64' { 'windows-x64' }
    'ARM64' { 'windows-arm64' }
    default { throw "There is no build for the processor '$processor'; there are builds for AMD64 and ARM64." }
  }

  $Version = $Version -replace '^v', ''
  if ($Version -notmatch '^[0-9A-Za-z.+-]*$') { throw "'$Version' is not a version, such as 1.0.0." }
  if (-not $Url) {
    $releases = 'https://github.com/bpbroker/bpbroker/releases'
    $Url = if ($Version) { "$releases/download/v$Version" } else { "$releases/latest/download" }
  }
  $Url = $Url.TrimEnd('/')
  if ($Url -notmatch '^(https|file)://' -and -not $PlainHttp) {
    throw "$Url is not https://: anyone on the network path could replace programs and checksums; to accept that, add -PlainHttp."
  }
  if (-not $Dir) {
    $identity = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
    $isAdministrator = $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
    $Dir = if ($isAdministrator) { Join-Path $env:ProgramFiles 'bpbroker\bin' } else { Join-Path $env:LOCALAPPDATA 'Programs\bpbroker' }
  }

  $temp = Join-Path ([IO.Path]::GetTempPath()) ('bpbroker-' + [guid]::NewGuid())
  New-Item -ItemType Directory -Path $temp | Out-Null
  try {
    $sums = Join-Path $temp 'SHA256SUMS'
    Invoke-WebRequest -UseBasicParsing -Uri "$Url/SHA256SUMS" -OutFile $sums
    if ($signingKey) {
      $keygen = Get-Command ssh-keygen -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
      if (-not $keygen) {
        throw "The signature of this release cannot be verified here: ssh-keygen (OpenSSH 8.1 or later) is not installed; nothing was installed. Add the optional feature 'OpenSSH Client' and repeat, or verify and unpack the archive by hand as docs/install.md says under 'Verifying by hand'."
      }
      $signature = Join-Path $temp 'SHA256SUMS.sshsig'
      Invoke-WebRequest -UseBasicParsing -Uri "$Url/SHA256SUMS.sshsig" -OutFile $signature
      $signers = Join-Path $temp 'signers'
      [IO.File]::WriteAllText($signers, "bpbroker namespaces=`"bpbroker-release`" ssh-ed25519 $signingKey`n")
      $said = Join-Path $temp 'said'
      # A pipe of PowerShell would change the bytes; a file as standard input is unchanged.
      $words = '-Y', 'verify', '-f', "`"$signers`"", '-I', 'bpbroker', '-n', 'bpbroker-release', '-s', "`"$signature`""
      $check = Start-Process -FilePath $keygen.Source -ArgumentList $words -RedirectStandardInput $sums -RedirectStandardOutput "$said.out" -RedirectStandardError $said -NoNewWindow -Wait -PassThru
      if ($check.ExitCode -ne 0) {
        throw "SHA256SUMS of $Url does not bear the signature of bpbroker's releases: nothing was installed (ssh-keygen: $(Get-Content -LiteralPath $said | Select-Object -First 1))."
      }
    }
    $wanted = if ($Version) { [regex]::Escape($Version) } else { '[0-9][^ ]*' }
    $line = Get-Content -LiteralPath $sums | Where-Object { $_ -cmatch "^[0-9a-f]{64}  $product-$wanted-$target\.zip$" } | Select-Object -First 1
    if (-not $line) { throw "$Url has no build $Version for $target." }
    $expected, $archive = $line -split '  ', 2

    $zip = Join-Path $temp $archive
    Invoke-WebRequest -UseBasicParsing -Uri "$Url/$archive" -OutFile $zip
    $actual = (Get-FileHash -LiteralPath $zip -Algorithm SHA256).Hash.ToLowerInvariant()
    if ($actual -cne $expected) {
      throw "The checksum of $archive is $actual and not $expected as in SHA256SUMS: nothing was installed."
    }

    Expand-Archive -LiteralPath $zip -DestinationPath $temp
    $unpacked = Join-Path $temp ($archive -replace '\.zip$', '')
    # One file is both programs: its name decides which one it is.
    if (-not $Client) { Add-Name (Join-Path $unpacked 'bpbroker.exe') (Join-Path $unpacked 'bpclient.exe') }
    foreach ($program in $programs) {
      $said = (& (Join-Path $unpacked "$program.exe") --version) -join ' '
      if ($LASTEXITCODE -ne 0 -or -not $said.StartsWith("$program ")) { throw "$program does not run here: $said" }
    }

    New-Item -ItemType Directory -Path $Dir -Force | Out-Null
    $old = "$([guid]::NewGuid()).old"
    $placed = @()
    try {
      Get-ChildItem -LiteralPath $Dir -Filter 'bp*.exe.new' | Remove-Item -Force
      # Copied and not moved: a moved file keeps the rights of the temporary folder, which are those of the installing user.
      Copy-Item -LiteralPath (Join-Path $unpacked "$product.exe") -Destination (Join-Path $Dir "$product.exe.new")
      if (-not $Client) { Add-Name (Join-Path $Dir 'bpbroker.exe.new') (Join-Path $Dir 'bpclient.exe.new') }
      foreach ($program in $programs) {
        $place = Join-Path $Dir "$program.exe"
        # A program that runs can be renamed but not replaced.
        if (Test-Path -LiteralPath $place) { Move-Item -LiteralPath $place -Destination "$place.$old" }
        Move-Item -LiteralPath "$place.new" -Destination $place
        $placed += $program
      }
    } catch {
      foreach ($program in $programs) {
        $place = Join-Path $Dir "$program.exe"
        if ($placed -contains $program) { Remove-Item -LiteralPath $place -Force -ErrorAction SilentlyContinue }
        if (Test-Path -LiteralPath "$place.$old") { Move-Item -LiteralPath "$place.$old" -Destination $place }
        Remove-Item -LiteralPath "$place.new" -Force -ErrorAction SilentlyContinue
      }
      throw
    }
    # Removes files that earlier installations renamed, if they are no longer used.
    Get-ChildItem -LiteralPath $Dir -Filter 'bp*.exe.*.old' | Remove-Item -Force -ErrorAction SilentlyContinue
    Write-Output "Installed $($programs -join ' and ') $($said -replace '^bpclient ', '') in $Dir"
    if (($env:PATH -split ';') -notcontains $Dir) { Write-Output "Add $Dir to your PATH to run them by name." }
  } finally {
    Remove-Item -LiteralPath $temp -Recurse -Force -ErrorAction SilentlyContinue
  }
}

Install-Bpbroker -Version $Version -Dir $Dir -Url $Url -PlainHttp $PlainHttp -Client $Client
