import { recordLine } from '../record.ts';
import { DESCRIPTION, recordFor, SERVICE, type ServiceSpec, startArguments } from '../service.ts';

export const SCRIPT_FILE: string = `/etc/init.d/${SERVICE}`;
export const LOG_FILE: string = `/var/log/${SERVICE}.log`;

/**
 * The text of {@link SCRIPT_FILE}: POSIX shell, with the tools of every Debian or Red Hat without systemd.
 */
export function sysvScript(spec: ServiceSpec): string {
  const { program, home, config, user = 'root' } = spec;
  const [daemon = '', ...before] = program;
  const files = config === undefined ? [] : ['--config', config];
  return `#!/bin/sh
# Written by bpbroker install-service, which replaces it.
# ${recordLine(recordFor(spec))}
# chkconfig: 2345 80 20
# description: ${DESCRIPTION}
### BEGIN INIT INFO
# Provides:          ${SERVICE}
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Should-Start:      $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: ${DESCRIPTION}
### END INIT INFO

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
BPBROKER_HOME=${quote(home.root)}
export BPBROKER_HOME
RUN_AS=${quote(user)}
DAEMON=${quote(daemon)}
PIDFILE=/var/run/${SERVICE}.pid
LOG=${LOG_FILE}

# The process of the pid file, if it is alive and still ours: another process may have its number.
running() {
  [ -s "$PIDFILE" ] && read -r PID < "$PIDFILE" && kill -0 "$PID" 2> /dev/null &&
    [ "$(readlink "/proc/$PID/exe" | sed 's/ (deleted)$//')" = "$(readlink -f "$DAEMON")" ]
}

# Nobody else may read the pid file, or see which program a process runs.
needs_root() {
  [ "$(id -u)" -eq 0 ] && return
  echo "${SERVICE}: only root can tell whether it runs, and start or stop it" >&2
  exit 4
}

# The log so far, in bytes: later lines belong to this start.
log_size() {
  wc -c < "$LOG" | tr -d ' '
}

run_broker() {
${becomeUser(spec)}
}

do_start() {
  if running; then
    echo "${SERVICE} is running already (pid $PID)"
    return 0
  fi
  # Nothing of the caller's environment, here and below: its secrets and options are not the service's.
  env -i PATH="$PATH" BPBROKER_HOME="$BPBROKER_HOME" \\
    "$DAEMON" ${words([...before, 'service-prepare', '--user', user, ...files])} || return 1
  umask 077
  touch "$LOG" || return 1
  FROM=$(log_size)
  rm -f "$PIDFILE"
  (
    cd / || exit 1
    # The shell that becomes the broker leaves its own number.
    setsid env -i PATH="$PATH" BPBROKER_HOME="$BPBROKER_HOME" \\
      sh -c 'echo $$ > "$0" && exec "$@"' "$PIDFILE" \\
      ${SCRIPT_FILE} run ${words([...before, ...startArguments(spec)])} < /dev/null >> "$LOG" 2>&1 &
  )
  WAITED=0
  while [ "$WAITED" -lt 3000 ]; do
    if tail -c "+$((FROM + 1))" "$LOG" | grep -q -e '^ready: ' -e '"message":"ready"'; then
      echo "${SERVICE} is running (pid $(cat "$PIDFILE"))"
      return 0
    fi
    if [ -s "$PIDFILE" ] && ! kill -0 "$(cat "$PIDFILE")" 2> /dev/null; then break; fi
    WAITED=$((WAITED + 1))
    sleep 0.1
  done
  echo "${SERVICE} did not start; $LOG ends with:" >&2
  tail -c "+$((FROM + 1))" "$LOG" | tail -n 3 >&2
  # It would be ready later, after this failure.
  if running; then do_stop >&2; fi
  return 1
}

do_stop() {
  if ! running; then
    rm -f "$PIDFILE"
    echo "${SERVICE} is not running"
    return 0
  fi
  kill -TERM "$PID"
  WAITED=0
  while running; do
    WAITED=$((WAITED + 1))
    if [ "$WAITED" -eq 300 ]; then kill -KILL "$PID"; fi
    if [ "$WAITED" -gt 350 ]; then
      echo "${SERVICE} does not stop (pid $PID)" >&2
      return 1
    fi
    sleep 0.1
  done
  rm -f "$PIDFILE"
  echo "${SERVICE} is stopped"
}

case "$1" in
  start | stop | restart | reload | force-reload | try-restart | condrestart) needs_root ;;
esac

case "$1" in
  start) do_start ;;
  stop) do_stop ;;
  restart) do_stop && do_start ;;
  reload | force-reload)
    # The broker reads the options of its file again.
    if ! running; then
      echo "${SERVICE} is not running" >&2
      exit 1
    fi
    kill -HUP "$PID"
    ;;
  try-restart | condrestart) if running; then do_stop && do_start; fi ;;
  status)
    if [ -e "$PIDFILE" ]; then needs_root; fi
    if running; then
      echo "${SERVICE} is running (pid $PID)"
    elif [ -s "$PIDFILE" ]; then
      echo "${SERVICE} is dead, but its pid file exists"
      exit 1
    else
      echo "${SERVICE} is not running"
      exit 3
    fi
    ;;
  run)
    # Only for do_start: becomes the broker, as its user.
    shift
    run_broker "$DAEMON" "$@"
    ;;
  *)
    echo "Usage: $0 start|stop|restart|reload|force-reload|try-restart|status" >&2
    exit 2
    ;;
esac
`;
}

/**
 * Becomes the broker: as a user, without new privileges, and with only the capability for a port below 1024.
 */
function becomeUser({ user = 'root', port }: ServiceSpec): string {
  if (user === 'root') return '  exec "$@"';
  const right = port > 0 && port < 1024 ? ',+net_bind_service' : '';
  const caps = `--inh-caps=-all${right} --ambient-caps=-all${right} --bounding-set=-all${right}`;
  return `  exec setpriv --reuid "$RUN_AS" --regid "$(id -g "$RUN_AS")" --init-groups --no-new-privs \\
    ${caps} -- "$@"`;
}

function words(list: readonly string[]): string {
  return list.map(quote).join(' ');
}

/** A word that the shell takes literally. */
function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
