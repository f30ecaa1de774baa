#!/bin/sh
# Installs bpbroker and bpclient, or bpclient alone, on Linux and macOS. Options: see --help, which is `usage` below.
# The whole script is one function that the last line calls: an incomplete download runs nothing.
set -eu

usage() {
  cat <<'TEXT'
Installs bpbroker and bpclient: install.sh [OPTIONS]

  --client            install bpclient alone: a smaller program with the client
                      commands                                      [BPBROKER_INSTALL_CLIENT=1]
  --version VERSION   version to install, such as 1.0.0 (default: the latest)       [BPBROKER_VERSION]
  --dir DIR           folder for the programs (default: /usr/local/bin for root,
                      with links in /usr/local/bpbroker/bin, else
                      ~/.local/bin)                                                 [BPBROKER_INSTALL_DIR]
  --url URL           folder that holds the release's files (default: GitHub's
                      releases of bpbroker/bpbroker)                                [BPBROKER_INSTALL_URL]
  --plain-http        accept a URL with http:// too: anyone on the network path can
                      then replace programs and checksums              [BPBROKER_INSTALL_PLAIN_HTTP=1]
  --target TARGET     build to install, such as linux-x64-musl (default: this machine's)
  --help              this text
TEXT
}

releases=https://github.com/bpbroker/bpbroker/releases

# The public key that signs releases, in the forms of openssl and ssh-keygen. The build of a signed release fills it in.
key_openssl=
key_ssh=

# Where the scripts of bpbroker 0.22 look for the programs.
former_bin=/usr/local/bpbroker/bin

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# download URL FILE [WHAT ITS ABSENCE MEANS]
download() {
  if has curl; then
    # A redirection must not lead from https:// to http:// either.
    case "$1" in http://*) protocols=http,https ;; *) protocols=https ;; esac
    curl -fsSL --retry 2 --proto-redir "=$protocols" -o "$2" "$1" || fail "cannot download $1${3:+: $3}"
  elif has wget; then
    wget -q -O "$2" "$1" || fail "cannot download $1${3:+: $3}"
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

# openssl_verifies KEY SIGNATURE FILE; its output is in $temp/said.
openssl_verifies() {
  printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' "$1" >"$temp/key.pem"
  openssl pkeyutl -verify -rawin -pubin -inkey "$temp/key.pem" -sigfile "$2" -in "$3" </dev/null >"$temp/said" 2>&1
}

# Whether this openssl can verify Ed25519 at all: before 3.0 it cannot, nor can LibreSSL. Such a one would report every
# signature as wrong, so it gets a right one first: the second of RFC 8032, section 7.1.
openssl_can() {
  has openssl || return 1
  printf r >"$temp/known"
  printf %s 'kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==' |
    openssl base64 -d -A >"$temp/known.sig" 2>/dev/null || return 1
  openssl_verifies MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw= "$temp/known.sig" "$temp/known"
}

# Whether this ssh-keygen has -Y verify (OpenSSH 8.1 and later). Then its error names what is missing, else its options.
ssh_can() {
  has ssh-keygen || return 1
  case "$(ssh-keygen -Y verify </dev/null 2>&1)" in *' for verify'*) ;; *) return 1 ;; esac
}

# Continues only if the holder of the key has signed $temp/SHA256SUMS.
verify_signature() {
  unsigned='the release bears no signature: nothing was installed'
  if openssl_can; then
    download "$url/SHA256SUMS.sig" "$temp/sig" "$unsigned"
    openssl_verifies "$key_openssl" "$temp/sig" "$temp/SHA256SUMS" && return
    verifier=openssl
  elif ssh_can; then
    download "$url/SHA256SUMS.sshsig" "$temp/sig" "$unsigned"
    echo "bpbroker namespaces=\"bpbroker-release\" ssh-ed25519 $key_ssh" >"$temp/signers"
    ssh-keygen -Y verify -f "$temp/signers" -I bpbroker -n bpbroker-release -s "$temp/sig" \
      <"$temp/SHA256SUMS" >"$temp/said" 2>&1 && return
    verifier=ssh-keygen
  else
    fail "the signature of this release cannot be verified here: neither openssl (3.0 or later) nor ssh-keygen (OpenSSH 8.1 or later) is installed; nothing was installed. Install one of them and repeat, or take SHA256SUMS, SHA256SUMS.sig and the archive for $target from $url to a machine that has one, verify them there as docs/install.md says under 'Verifying by hand', and unpack the archive into $dir"
  fi
  fail "SHA256SUMS of $url does not bear the signature of bpbroker's releases: nothing was installed ($verifier: $(sed 's/[[:cntrl:]]*$//; q' "$temp/said"))"
}

# A machine may have both C libraries: its own `ldd` shows which one its programs use.
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

# The name of the build for this machine, as in the names of release files.
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
  # A shell under Rosetta reports x86_64 on a processor that is not.
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

# Writes $unpacked again, in pieces of 4 MiB. tar writes small pieces, which stay small in the page cache, and the program
# then takes longer to start (docs/benchmarks.md). Without dd, or without room for a copy, the file stays as it is.
in_large_pieces() {
  if dd if="$unpacked" of="$unpacked.large" bs=4194304 2>/dev/null; then
    rm -f "$unpacked"
    unpacked=$unpacked.large
  else
    rm -f "$unpacked.large"
  fi
}

# The program's first line of --version, or the error of its start.
try_program() {
  "$1" --version 2>&1 | head -n 1
}

# put KEY PLACE: moves the file $staged/KEY there by a rename, because a running program cannot be written to. `take_back KEY
# PLACE` undoes it.
put() {
  if [ -h "$2" ]; then
    cp -pP "$2" "$staged/$1.former" || fail "cannot keep the former $2"
  elif [ -e "$2" ]; then
    ln "$2" "$staged/$1.former" 2>/dev/null || cp -p "$2" "$staged/$1.former" || fail "cannot keep the former $2"
  fi
  : >"$staged/$1.begun"
  mv -f "$staged/$1" "$2" || fail "cannot replace $2: what was there is put back"
}

take_back() {
  # A file that is still here has not been put in place.
  if [ ! -e "$staged/$1.begun" ] || [ -e "$staged/$1" ] || [ -h "$staged/$1" ]; then return 0; fi
  former=$staged/$1.former
  if [ -e "$former" ] || [ -h "$former" ]; then
    mv -f "$former" "$2" || {
      printf 'install.sh: cannot put back the former %s; it is in %s\n' "$2" "$staged" >&2
      keep=1
    }
  else
    rm -f "$2" || printf 'install.sh: cannot remove the new %s\n' "$2" >&2
  fi
}

# At every end: no temporary file is left, and either all programs and links are new, or none is.
finish() {
  keep=
  if [ -n "$staged" ] && [ -z "$complete" ]; then
    for program in $programs; do
      take_back "$program" "$dir/$program"
      take_back "$program-link" "$links/$program"
    done
  fi
  rm -rf "$temp"
  if [ -n "$staged" ] && [ -z "$keep" ]; then rm -rf "$staged"; fi
}

main() {
  version=${BPBROKER_VERSION:-}
  dir=${BPBROKER_INSTALL_DIR:-}
  url=${BPBROKER_INSTALL_URL:-}
  plain_http=${BPBROKER_INSTALL_PLAIN_HTTP:-}
  client=${BPBROKER_INSTALL_CLIENT:-}
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
      --client)
        client=1
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
    *[!0-9A-Za-z.+-]*) fail "'$version$target' is not a version or target, such as 1.0.0 or linux-x64" ;;
  esac
  product=bpbroker
  programs='bpbroker bpclient'
  them=them
  if [ "$client" = 1 ]; then
    product=bpclient
    programs=bpclient
    them=it
  fi
  links=
  if [ -z "$dir" ]; then
    dir=$(default_dir)
    if [ "$dir" = /usr/local/bin ]; then links=$former_bin; fi
  fi
  [ -n "$target" ] || target=$(detect)
  if [ -z "$url" ]; then
    url=$releases/latest/download
    [ -z "$version" ] || url=$releases/download/v$version
  fi
  url=${url%/}
  # Capitals make no difference in a scheme; without one, curl uses http://.
  case "$url" in
    [Hh][Tt][Tt][Pp][Ss]://* | file:///*) ;;
    *)
      [ "$plain_http" = 1 ] ||
        fail "$url is not https://: anyone on the network path could replace programs and checksums; to accept that, add --plain-http"
      ;;
  esac

  temp=$(mktemp -d)
  staged=
  complete=
  trap finish EXIT
  trap 'exit 1' HUP INT TERM

  download "$url/SHA256SUMS" "$temp/SHA256SUMS"
  if [ -n "$key_openssl" ]; then verify_signature; fi
  # A name is `bpbroker-VERSION-TARGET.tar.gz`; versions begin with a digit and targets do not.
  wanted='[0-9][^ ]*'
  # As text and not as a pattern: a version may have dots and plus signs.
  [ -z "$version" ] || wanted=$(printf '%s' "$version" | sed 's/[.+*[^$]/\\&/g')
  line=$(grep -E "^[0-9a-f]{64}  $product-$wanted-$target\.tar\.gz\$" "$temp/SHA256SUMS" | head -n 1) || true
  [ -n "$line" ] || fail "$url has no build ${version:+of version $version }for $target"
  archive=${line#*  }
  download "$url/$archive" "$temp/$archive"
  actual=$(sha256 "$temp/$archive")
  [ "$actual" = "${line%% *}" ] ||
    fail "the checksum of $archive is $actual and not ${line%% *} as in SHA256SUMS: nothing was installed"

  for program in $programs; do
    [ ! -d "$dir/$program" ] || fail "$dir/$program is a folder; name another folder than $dir with --dir"
    [ -z "$links" ] || [ ! -d "$links/$program" ] ||
      fail "$links/$program is a folder; move it away, or install elsewhere with --dir"
  done
  mkdir -p "$dir" || fail "cannot make the folder $dir"
  # Beside their places, so that the last step is a rename, which does not disturb a running program.
  staged=$(mktemp -d "$dir/.bpbroker-install.XXXXXX") || fail "cannot write to $dir; name another folder with --dir"
  name=${archive%.tar.gz}
  # Only the one file: not every file system supports the second name that the archive has for it.
  tar -xzf "$temp/$archive" -C "$staged" "$name/$product" || fail "cannot unpack $archive"
  unpacked=$staged/$name/$product
  case "$target" in linux*) in_large_pieces ;; esac
  chmod 755 "$unpacked"
  for program in $programs; do
    file=$staged/$program
    ln "$unpacked" "$file" 2>/dev/null || cp -p "$unpacked" "$file" ||
      fail "cannot write to $dir"
    said=$(try_program "$file")
    case "$said" in
      "$program "[0-9]*) ;;
      *libstdc++*) fail "$program needs the C++ library of this system: apk add libstdc++ ($said)" ;;
      *) fail "$program does not run here: $said" ;;
    esac
  done

  for program in $programs; do
    put "$program" "$dir/$program"
  done
  if [ -n "$links" ]; then
    (umask 022 && mkdir -p "$links") || fail "cannot make the folder $links"
    for program in $programs; do
      ln -s "$dir/$program" "$staged/$program-link" || fail "cannot make a link in $dir"
      put "$program-link" "$links/$program"
    done
  fi
  complete=1
  echo "Installed $(echo "$programs" | sed 's/ / and /') ${said#* } in $dir"
  if [ -n "$links" ]; then echo "Links to $them are in $links, for scripts that call bpbroker 0.22."; fi
  case ":$PATH:" in
    *":$dir:"*) ;;
    *) echo "Add $dir to your PATH to run $them by name." ;;
  esac
}

main "$@"
