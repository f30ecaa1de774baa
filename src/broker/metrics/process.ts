import { type Metric, singleMetric } from '../../api/metrics/metric.ts';
import { descriptorLimit, openDescriptors } from '../../runtime/system/descriptors.ts';

/** How long a count of open files is used, in milliseconds: with thousands of them it is slow. */
const LOOK_MS = 1000;

/** The metrics that Prometheus expects of every process, as far as the system reports them. */
export function createProcessMetrics(): () => Metric[] {
  const startedAt = Date.now() / 1000 - process.uptime();
  const limit = descriptorLimit();
  let open = 0;
  let lookedAt = -Infinity;
  return () => {
    const now = performance.now();
    if (now - lookedAt > LOOK_MS) {
      open = openDescriptors();
      lookedAt = now;
    }
    const { user, system } = process.cpuUsage();
    return [
      singleMetric(
        'counter',
        'process_cpu_seconds_total',
        'User and system time, in seconds.',
        (user + system) / 1e6,
      ),
      singleMetric('gauge', 'process_start_time_seconds', 'When it started: seconds since 1970.', startedAt),
      singleMetric('gauge', 'process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
      ...(open > 0
        ? [singleMetric('gauge', 'process_open_fds', 'Open files, sockets and pipes.', open)]
        : []),
      ...(limit < Infinity
        ? [singleMetric('gauge', 'process_max_fds', 'How many of them there may be.', limit)]
        : []),
    ];
  };
}
