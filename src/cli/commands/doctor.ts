import { deadlineIn } from '../../client/connection/retry.ts';
import { DEFAULT_PORT, isUrl } from '../../protocol/addresses/address.ts';
import { parseDuration } from '../../protocol/formats/duration.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Run } from '../command.ts';
import { examine } from '../doctor/examine.ts';
import { toJson } from '../doctor/report.ts';
import { renderReport } from '../doctor/render.ts';
import { readAccessKey, readDiscoverKey } from '../options/keys.ts';
import { createNotices } from '../terminal/notices.ts';
import { readCount } from '../options/numbers.ts';
import { print } from '../output/output.ts';
import { isTerminal, writeResult } from '../terminal/terminal.ts';

const DEFAULT_TIMEOUT = '10s';
/** In less time, a healthy broker may not have answered, and its silence would look like a fault. */
const LEAST_MS = 1000;

export const run: Run = async (args, program) => {
  const deadline = deadlineIn(timeLimit(args.text('timeout') ?? DEFAULT_TIMEOUT, args.label('timeout')));
  const key = readDiscoverKey(args);
  const isUrlGiven = isUrl(args.text('bpbroker') ?? '') || args.flag('ca');
  const urlBroker = isUrlGiven ? (await import('../session/url-broker.ts')).urlBroker(args, key) : undefined;
  const subject = {
    program,
    name: args.text('name'),
    port: readCount(args, 'port') ?? DEFAULT_PORT,
    key,
    repeated: {
      discoverKeyFile: args.text('discover-key-file'),
      accessKeyFile: args.text('access-key-file'),
      ca: args.flag('ca') ? args.text('ca') : undefined,
      fingerprint: args.flag('fingerprint') ? args.text('fingerprint') : undefined,
      interfaces: args.flag('interface') ? args.list('interface') : [],
    },
  };
  const accessKey = readAccessKey(args);
  const report = await createNotices(args).during(
    'the checks',
    examine({ args, subject, urlBroker, accessKey, deadline }),
  );
  const isScreen = await isTerminal(1);
  const text = renderReport(report, {
    colour: isScreen && !process.env['NO_COLOR'],
    width: isScreen ? (process.stdout.columns ?? 80) : undefined,
    quiet: args.flag('quiet'),
    verbose: args.flag('verbose'),
  });
  if ((args.text('format') ?? 'text') === 'text' && !args.flag('cols')) {
    // The colours are for the terminal; texts from elsewhere have no control characters any more.
    await writeResult(`${text.join('\n')}\n`);
    return report.exitCode;
  }
  await print(
    {
      text,
      json: toJson(report),
      rows: report.checks.map(({ id, status, says }) => ({ id, status, says })),
      env: {
        BPB_EXIT_CODE: String(report.exitCode),
        BPB_CAUSE: report.problem?.cause ?? '',
        BPB_COMMAND: report.advice?.command ?? '',
      },
    },
    args,
  );
  return report.exitCode;
};

function timeLimit(given: string, label: string): number {
  const ms = parseDuration(given, label);
  if (ms >= LEAST_MS) return ms;
  throw new BrokerError(
    'usage',
    `Invalid ${label} '${given}': in less than 1s, silence shows nothing; give 1s or more`,
  );
}
