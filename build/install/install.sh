#!/bin/sh
# Installs bpbroker and bpclient on Linux and macOS. Options: see --help, which is `usage` below.
# The whole of it is one function that the last line calls: a download that breaks off runs nothing.
set -eu

usage() {
  cat <<'TEXT'
Installs bpbroker and bpclient: install.sh [OPTIONS]

  --version VERSION   version to install, such as 1.0.0 (default: the latest)       [BPBROKER_VERSION]
  --dir DIR           folder for the programs (default: /usr/local/bin for root,
                      else ~/.local/bin)                                            [BPBROKER_INSTALL_DIR]
  --url URL           folder that holds the release's files (default: GitHub's
                      releases of bpbroker/bpbroker)                                [BPBROKER_INSTALL_URL]
  --plain-http        take a URL with http:// too: whoever is on the way can then
                      replace programs and checksums alike             [BPBROKER_INSTALL_PLAIN_HTTP=1]
  --target TARGET     build to install, such as linux-x64-musl (default: this machine's)
  --help              this text
TEXT
}

releases=https://github.com/bpbroker/bpbroker/releases

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# download URL FILE
download() {
  if has curl; then
    # Nor does a redirection lead from https:// to less.
    case "$1" in http://*) protocols=http,https ;; *) protocols=https ;; esac
    curl -fsSL --retry 2 --proto-redir "=$protocols" -o "$2" "$1" || fail "cannot download $1"
  elif has wget; then
    wget -q -O "$2" "$1" || fail "cannot download $1"
  else
    fail 'curl or wget is needed to download; install one of them'
  fi
}

sha256() {
  if has sha256sum; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif has shasum; then
    shasum -a 256 "$1" | cut -d ' ' -f 1
  else
    fail 'sha256sum or shasum is needed to verify the download; install one of them'
  fi
}

# A machine may have both C libraries: its own `ldd` says which one its programs use.
is_musl() {
  if has ldd; then
    ldd --version 2>&1 | grep -qi musl
    return
  fi
  for loader in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do
    if [ -e "$loader" ]; then return 1; fi
  done
  for loader in /lib/ld-musl-*.so.1; do
    if [ -e "$loader" ]; then return 0; fi
  done
  return 1
}

# The name of the build for this machine, as release files have it.
detect() {
  case "$(uname -s)" in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) fail "there is no build for the system '$(uname -s)'; there are builds for Linux, macOS and Windows" ;;
  esac
  case "$(uname -m)" in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no build for the processor '$(uname -m)'; there are builds for x86_64 and aarch64" ;;
  esac
  # A shell under Rosetta says x86_64 on a processor that is none.
  if [ "$os-$arch" = darwin-x64 ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then
    arch=arm64
  fi
  target=$os-$arch
  if [ "$os" = linux ]; then
    if is_musl; then target=$target-musl; fi
    if [ "$arch" = x64 ] && ! grep -qw avx2 /proc/cpuinfo 2>/dev/null; then target=$target-baseline; fi
  fi
  echo "$target"
}

default_dir() {
  if [ "$(id -u)" = 0 ]; then
    echo /usr/local/bin
  elif [ -n "${HOME:-}" ]; then
    echo "$HOME/.local/bin"
  else
    fail 'HOME is not set; name the folder with --dir'
  fi
}

# The program's first line of --version, or what kept it from starting.
try_program() {
  "$1" --version 2>&1 | head -n 1
}

main() {
  version=${BPBROKER_VERSION:-}
  dir=${BPBROKER_INSTALL_DIR:-}
  url=${BPBROKER_INSTALL_URL:-}
  plain_http=${BPBROKER_INSTALL_PLAIN_HTTP:-}
  target=
  while [ $# -gt 0 ]; do
    case "$1" in
      --help | -h)
        usage
        exit 0
        ;;
      --plain-http)
        plain_http=1
        shift
        continue
        ;;
      --version | --dir | --url | --target) ;;
      *) fail "unknown option '$1'; see --help" ;;
    esac
    if [ -z "${2:-}" ]; then fail "option $1 needs a value"; fi
    case "$1" in
      --version) version=$2 ;;
      --dir) dir=$2 ;;
      --url) url=$2 ;;
      --target) target=$2 ;;
    esac
    shift 2
  done
  has tar || fail 'tar is needed to unpack; install it'
  has gzip || fail 'gzip is needed to unpack; install it'
  version=${version#v}
  case "$version$target" in
    *[!0-9A-Za-z.+-]*) fail "'$version$target' is no version or target; they are such as 1.0.0 and linux-x64" ;;
  esac
  [ -n "$dir" ] || dir=$(default_dir)
  [ -n "$target" ] || target=$(detect)
  if [ -z "$url" ]; then
    url=$releases/latest/download
    [ -z "$version" ] || url=$releases/download/v$version
  fi
  url=${url%/}
  # Schemes are the same in capitals; without one, curl takes http://.
  case "$url" in
    [Hh][Tt][Tt][Pp][Ss]://* | file:///*) ;;
    *)
      [ "$plain_http" = 1 ] ||
        fail "$url is not https://: whoever is on the way could replace programs and checksums alike; take it all the same with --plain-http"
      ;;
  esac

  temp=$(mktemp -d)
  staged=
  trap 'rm -rf "$temp" ${staged:+"$staged"}' EXIT
  trap 'exit 1' HUP INT TERM

  download "$url/SHA256SUMS" "$temp/SHA256SUMS"
  # A name is `bpbroker-VERSION-TARGET.tar.gz`; versions begin with a digit and targets do not.
  wanted='[0-9][^ ]*'
  # As text and not as a pattern: a version may hold dots and plus signs.
  [ -z "$version" ] || wanted=$(printf '%s' "$version" | sed 's/[.+*[^$]/\\&/g')
  line=$(grep -E "^[0-9a-f]{64}  bpbroker-$wanted-$target\.tar\.gz\$" "$temp/SHA256SUMS" | head -n 1) || true
  [ -n "$line" ] || fail "$url has no build ${version:+of version $version }for $target"
  archive=${line#*  }
  download "$url/$archive" "$temp/$archive"
  actual=$(sha256 "$temp/$archive")
  [ "$actual" = "${line%% *}" ] ||
    fail "the checksum of $archive is $actual and not ${line%% *} as in SHA256SUMS: nothing was installed"

  for program in bpbroker bpclient; do
    [ ! -d "$dir/$program" ] || fail "$dir/$program is a folder; name another folder than $dir with --dir"
  done
  mkdir -p "$dir" || fail "cannot make the folder $dir"
  # Beside their places, so that the last step is a rename: a program that runs meanwhile is left alone.
  staged=$(mktemp -d "$dir/.bpbroker-install.XXXXXX") || fail "cannot write to $dir; name another folder with --dir"
  tar -xzf "$temp/$archive" -C "$staged" || fail "cannot unpack $archive"
  name=${archive%.tar.gz}
  for program in bpbroker bpclient; do
    said=$(try_program "$staged/$name/$program")
    case "$said" in
      "$program "[0-9]*) ;;
      *libstdc++*) fail "$program needs the C++ library of this system: apk add libstdc++ ($said)" ;;
      *) fail "$program does not run here: $said" ;;
    esac
  done
  for program in bpbroker bpclient; do
    chmod 755 "$staged/$name/$program"
    mv -f "$staged/$name/$program" "$dir/$program" || fail "cannot replace $dir/$program"
  done
  echo "Installed $said in $dir" | sed 's/ bpclient / bpbroker and bpclient /'
  case ":$PATH:" in
    *":$dir:"*) ;;
    *) echo "Add $dir to your PATH to run them by name." ;;
  esac
}

main "$@"
