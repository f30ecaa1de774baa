import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * A program `docker` for tests: its image is a Debian's files, a container is a set of namespaces of the kernel. It takes what our pages
 * use, and fails at anything else. `run` takes one container at a time.
 */
export interface ContainerEngine {
  /** The folder of the program. */
  readonly bin: string;
  /** The files of a volume. */
  volume(name: string): string;
  /** What containers that are detached print. */
  readonly log: string;
}

/** With an init, process 1 is a shell that hands on SIGTERM and ends as its child does. */
const init = `
trap 'kill -TERM "$child"' TERM
"$@" & child=$!
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
exit "$code"`;

/** Within the namespaces: mounts the volumes, and becomes the command. Its arguments: init or nothing, volumes, \`--\`, \`NAME=value\`…, command. */
const inside = (image: string, volumes: string): string => `
set -e
mount --rbind /dev '${image}/dev'
init=$1; shift
while [ "$1" != -- ]; do
  IFS=: read -r from to mode <<< "$1"; shift
  [[ $from == /* ]] || from='${volumes}'/$from
  [ -e "$from" ] || { echo "docker: there is no volume $from" >&2; exit 125; }
  mkdir -p "$(dirname '${image}'"$to")"
  if [ -d "$from" ]; then mkdir -p '${image}'"$to"; else touch '${image}'"$to"; fi
  mount --bind "$from" '${image}'"$to"
  [ "$mode" != ro ] || mount -o remount,ro,bind '${image}'"$to"
done
shift
own=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while [[ $1 == *=* ]]; do own+=("$1"); shift; done
[ -z "$init" ] || set -- bash -c '${init.replaceAll("'", String.raw`'\''`)}' init "$@"
exec chroot '${image}' env -i "\${own[@]}" "$@"`;

const program = (image: string, volumes: string, log: string): string => `#!/bin/bash
set -e
refuse() { echo "docker: the tests' own has no $*" >&2; exit 125; }
case "$1 $2" in
  'volume create') mkdir -p '${volumes}'/"$3"; echo "$3"; exit ;;
  'run '*) shift ;;
  *) refuse "command $1" ;;
esac
detach= init= volumes=() env=()
while [[ $1 == -* ]]; do
  option=$1; shift
  case $option in
    --detach) detach=1 ;;
    --init) init=1 ;;
    --name) shift ;;
    --network) [ "$1" = host ] || refuse "network $1"; shift ;;
    --env) env+=("$1"); shift ;;
    --volume) volumes+=("$1"); shift ;;
    *) refuse "option $option" ;;
  esac
done
[ "$1" = debian:12-slim ] || refuse "image $1"
shift
apart=(unshare --mount --pid --uts --fork --kill-child --mount-proc='${image}/proc')
run=("\${apart[@]}" bash -c '${inside(image, volumes).replaceAll("'", String.raw`'\''`)}' bash "$init" "\${volumes[@]}" -- "\${env[@]}" "$@")
[ -n "$detach" ] || exec "\${run[@]}"
setsid "\${run[@]}" </dev/null >>'${log}' 2>&1 &
`;

/**
 * Writes such a program.
 * @param image the files of a Debian, which containers write to.
 * @param dir where the program, its volumes and its log are.
 */
export function containerEngine(image: string, dir: string): ContainerEngine {
  const [bin, volumes, log] = ['bin', 'volumes', 'log'].map((name) => path.join(dir, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(bin, { recursive: true });
  const file = path.join(bin, 'docker');
  writeFileSync(file, program(image, volumes, log));
  chmodSync(file, 0o755);
  return { bin, log, volume: (name) => path.join(volumes, name) };
}
