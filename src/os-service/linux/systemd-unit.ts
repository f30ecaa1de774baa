import path from 'node:path';
import { dataFolders } from '../files/data-files.ts';
import { recordLine } from '../record.ts';
import { DESCRIPTION, recordFor, type ServiceSpec, startArguments } from '../service.ts';

/** The text of `bpbroker.service`. */
export function systemdUnit(spec: ServiceSpec): string {
  const { program, home, config, user = 'root' } = spec;
  const files = config === undefined ? [] : ['--config', config];
  return `# Written by bpbroker install-service, which replaces it; put changes into a drop-in: systemctl edit bpbroker
# ${recordLine(recordFor(spec))}
[Unit]
Description=${DESCRIPTION}
After=network.target
# It is restarted however often it fails: what is missing (an address, disk space) may come back.
StartLimitIntervalSec=0

[Service]
# Started when the broker answers: see sd_notify(3). All: a child, systemd-notify, sends the message.
Type=notify
NotifyAccess=all
Environment=${quote(`BPBROKER_HOME=${home.root}`)}
# Run by root, outside the sandbox: makes the folders, and makes the user their owner.
ExecStartPre=+${commandLine([...program, 'service-prepare', '--user', user, ...files])}
ExecStart=${commandLine([...program, ...startArguments(spec)])}
# Reads the options of its file again. Through the shell, because not every host has /bin/kill.
ExecReload=/bin/sh -c "kill -HUP $$MAINPID"
Restart=on-failure
RestartSec=2
TimeoutStartSec=5min
# The broker's self-check: a broker that no longer answers is restarted.
WatchdogSec=60
# Running calls of extensions may end first.
KillMode=mixed
UMask=0077
User=${user}
${(user === 'root' ? forRoot : sandbox(spec)).join('\n')}

[Install]
WantedBy=multi-user.target
`;
}

/** Restrictions that cost neither the broker nor an extension run by root anything. */
const forRoot = [
  'PrivateTmp=yes',
  'ProtectClock=yes',
  'ProtectControlGroups=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'LockPersonality=yes',
  'SystemCallArchitectures=native',
];

/**
 * All restrictions that the broker can run with. Extensions run within them: docs/service.md says how to
 * loosen them.
 */
function sandbox({ home, config, port }: ServiceSpec): string[] {
  const written = dataFolders(home, config);
  const inHome = [home.root, ...written].some((dir) => /^\/(?:home|root|run\/user)(?:\/|$)/.test(dir));
  const capability = port > 0 && port < 1024 ? 'CAP_NET_BIND_SERVICE' : '';
  return [
    `CapabilityBoundingSet=${capability}`,
    `AmbientCapabilities=${capability}`,
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    `ProtectHome=${inHome ? 'read-only' : 'yes'}`,
    ...written.map((dir) => `ReadWritePaths=${quote(`-${dir}`)}`),
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'DevicePolicy=closed',
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectProc=invisible',
    'KeyringMode=private',
    'LockPersonality=yes',
    'RemoveIPC=yes',
    // AF_NETLINK: the addresses of the interfaces are read through it.
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallFilter=~@privileged @resources',
    'SystemCallErrorNumber=EPERM',
    // No MemoryDenyWriteExecute: the runtime compiles code while it runs.
  ];
}

/** systemd expands variables in arguments, but not in the program itself. */
function commandLine([program = '', ...args]: readonly string[]): string {
  return [quote(program), ...args.map((word) => quote(word).replaceAll('$', '$$$$'))].join(' ');
}

/** A word in systemd's syntax: quoted and escaped, without `%` specifiers (systemd.syntax(7)). */
function quote(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  return `"${escaped}"`;
}

export const unitFile: string = path.posix.join('/etc/systemd/system', 'bpbroker.service');
