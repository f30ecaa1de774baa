/** A disk that does not answer: the broker says so, and holds no more than it can carry. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import path from 'node:path';
import { type Answer, start, started } from '../broker.ts';
import { executable } from '../programs.ts';
import { rssMiB } from '../proc.ts';
import type { Row } from '../row.ts';
import { configIn, newFolder, put } from '../sweep/sweep-places.ts';

function noStrace(): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'needs strace';
  }
}

/** Of the broker under its tracer. */
function brokerPid(tracer: number): number {
  return Number(readFileSync(`/proc/${tracer}/task/${tracer}/children`, 'utf8').trim().split(' ')[0]);
}

const MIB = 1024 * 1024;

export const hung: Row = {
  name: 'hung',
  shows: '3 (a disk that hangs)',
  what: 'each `fdatasync` held for 25 s (strace) under 300 writes of 1 MB at once: readiness, memory and answers',
  bound: { short: 120, long: 180 },
  skip: noStrace,
  async run(setup) {
    const held = 25;
    const dir = newFolder(path.join(setup.scratch, 'broker'));
    const before = await started(executable.command, configIn(dir));
    await put(before, 'first', { n: 0 });
    await before.stop();
    // Every one: a count (`when`) would be one for each thread.
    const inject = `inject=fdatasync:delay_enter=${held}s`;
    const wrap = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e', inject];
    const broker = await started(executable.command, configIn(dir), { wrap });
    const pid = brokerPid(broker.child.pid ?? 0);
    const broken: string[] = [];
    const idle = rssMiB(pid);
    let peak = idle;
    let unready = '';
    let unreadyAfter = 0;
    const began = performance.now();
    const count = setup.short ? 150 : 300;
    const pad = 'x'.repeat(MIB - 200);
    const answers: { n: number; answer: Answer; after: number }[] = [];
    const writes = Array.from({ length: count }, async (_, n) => {
      const answer = await broker.call('Replace', { name: `big-${n}`, data: { n, pad } }, 60_000);
      answers.push({ n, answer, after: performance.now() - began });
    });
    while (performance.now() - began < (held - 2) * 1000) {
      const { status, body } = await broker.look('/readyz', 5000);
      peak = Math.max(peak, rssMiB(pid));
      if (status === 503 && unready === '') {
        unready = JSON.stringify(body).slice(0, 300);
        unreadyAfter = (performance.now() - began) / 1000;
      }
      await sleep(200);
    }
    if (unready === '') broken.push(`/readyz was 200 while a sync was held for ${held} s`);
    else if (!/store|commit|sync|disk/i.test(unready)) broken.push(`/readyz does not say why: ${unready}`);
    const early = answers.filter(({ after }) => after < (held - 2) * 1000);
    const refused = early.filter(({ answer }) => answer.status === 503);
    if (refused.length === 0) broken.push(`none of ${count} writes of 1 MB was refused while the disk hung`);
    if (refused.some(({ answer }) => answer.retryAfter === undefined))
      broken.push('a 503 came without Retry-After');
    const odd = early.filter(({ answer }) => answer.status !== 503);
    if (odd.length > 0)
      broken.push(`answered while the disk hung: ${odd.map(({ answer }) => answer.status).join()}`);
    // The broker itself, and not only its tracer: it holds what its tracer printed to open.
    process.kill(pid, 'SIGKILL');
    await broker.kill();
    await Promise.all(writes);
    const again = await start(executable.command, configIn(dir));
    if ('refused' in again) broken.push(`NO START: ${again.refused.slice(-300)}`);
    else {
      const state = await again.list();
      if (!('first' in state)) broken.push('LOST: the write before the hang');
      for (const { n, answer } of refused)
        if (
          answer.body.code !== 'unknown' &&
          `big-${n}` in state &&
          /nothing/.test(answer.body.message ?? '')
        )
          broken.push(`MADE UP: big-${n} was refused and is stored`);
      await again.stop();
    }
    return {
      figures:
        `unready ${unready === '' ? 'never' : `after ${unreadyAfter.toFixed(1)} s`}, ${refused.length} of ${count} writes refused with 503, ` +
        `memory ${idle.toFixed(0)} to ${peak.toFixed(0)} MiB`,
      broken,
    };
  },
};
