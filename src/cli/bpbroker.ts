#!/usr/bin/env node
import { brokerRoot } from './programs/broker-root.ts';
import { main } from './main.ts';

await main('bpbroker', brokerRoot, process.argv.slice(2));
