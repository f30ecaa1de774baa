#!/usr/bin/env node
import { clientRoot } from './programs/client-root.ts';
import { main } from './main.ts';

await main('bpclient', clientRoot, process.argv.slice(2));
