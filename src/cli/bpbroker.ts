#!/usr/bin/env node
import { brokerRoot } from './broker-root.ts';
import { main } from './main.ts';

await main('bpbroker', brokerRoot, process.argv.slice(2));
