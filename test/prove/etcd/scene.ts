/** What runs on the clients' host, as a process of its own there: `scene.ts JSON`, see `hosts.ts`. Its last line is the result. */
import { histories } from './histories.ts';
import type { Scene } from './hosts.ts';
import { watches } from './watches.ts';

const scene = JSON.parse(process.argv[2] ?? '') as Scene;
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const run = { histories, watches }[scene.scene];
const { figures, broken } = await run(scene, say);
say(JSON.stringify({ figures, broken: broken.slice(0, 50) }));
process.exit(0);
