import { createActivity } from './status/activity.ts';
import { ApiError, createBrokerApi } from './api/broker-api.ts';
import { createChangeList } from './registry/changes.ts';
import { byId, element, replaceContent, setText } from './element.ts';
import { createEntryPanel } from './registry/entry-panel.ts';
import { createEntryTree } from './registry/entry-tree.ts';
import { showHealth, showState } from './status/health.ts';
import { createRegistryFeed, type FeedState } from './registry/registry-feed.ts';
import { createStatusView } from './status/status.ts';
import { createTreeView } from './registry/tree-view.ts';

const POLL_MS = 2000;
const LIFETIMES_MS = 5000;
/** The shortest pause between two drawings of the tree, in milliseconds. */
const DRAW_MS = 200;
/** Changes in the seconds before the page was opened that count as recent. */
const RECENT_SECONDS = 600;

const now = (): number => Date.now() / 1000;
// The page may have been opened without its final slash, under the path of an app that it is mounted in.
const base = location.pathname.replace(/\/*$/, '/');
for (const link of document.querySelectorAll('footer a'))
  link.setAttribute('href', base + (link.getAttribute('href') ?? ''));
const api = createBrokerApi(base, now);
const tree = createEntryTree();
const note = byId('feed', HTMLElement);
const keyForm = byId('key-form', HTMLFormElement);
const keyField = byId('key', HTMLInputElement);
const work = byId('registry', HTMLElement);
const filter = byId('filter', HTMLInputElement);

const view = createTreeView({
  tree,
  container: byId('tree', HTMLElement),
  now,
  onSelect: (path) => {
    if (tree.get(path)) panel.show(path);
  },
});
const panel = createEntryPanel({
  api,
  place: byId('panel', HTMLElement),
  find: (name) => tree.get(name),
  now,
  announce,
});
const changes = createChangeList(byId('changes', HTMLElement), (name) => {
  filter.value = '';
  view.setFilter('');
  view.select(name);
  panel.show(name);
});
const activity = createActivity({
  api,
  plots: byId('plots', HTMLElement),
  process: byId('process', HTMLElement),
  now,
});

let drawAt: number | undefined;
function drawSoon(): void {
  drawAt ??= setTimeout(() => {
    drawAt = undefined;
    view.update();
    panel.update();
    showCount();
  }, DRAW_MS);
}

const feed = createRegistryFeed({
  api,
  tree,
  now,
  onState: showFeed,
  onTree: drawSoon,
  onChange: (change) => changes.add(change),
});

function showCount(): void {
  const beyond = feed.isPartial && feed.count > tree.size;
  setText(byId('count', HTMLElement), beyond ? `${tree.size} of ${feed.count}` : String(tree.size));
}

const status = createStatusView(api, now);
/** Whether the page's key has opened the registry. */
let hasKey = false;
let wasRead = false;
function showFeed(state: FeedState): void {
  keyForm.hidden = state.kind !== 'key';
  work.hidden = state.kind === 'key' || state.kind === 'absent';
  note.dataset['kind'] = state.kind;
  if (state.kind === 'live') hasKey = true;
  if (state.kind === 'key') hasKey = false;
  switch (state.kind) {
    case 'reading':
      setText(note, `Reading entries: ${tree.size} of ${state.count}`);
      break;
    case 'live':
      setText(note, 'Live');
      if (!wasRead) showRecent();
      wasRead = true;
      break;
    case 'key':
      setText(note, keyField.value === '' ? 'The entries ask for an access key.' : state.message);
      break;
    case 'absent':
      setText(note, state.message);
      break;
    case 'lost':
      setText(note, `${state.message}. Trying again.`);
      break;
  }
}

/** Shows the writes of the minutes before the page was opened. */
function showRecent(): void {
  const recent = tree
    .names()
    .flatMap((name) => tree.get(name) ?? [])
    .filter(({ writtenAt }) => writtenAt >= now() - RECENT_SECONDS)
    .toSorted((a, b) => a.revision - b.revision);
  for (const { name, revision, writtenAt } of recent.slice(-50))
    changes.add({ type: 'put', name, revision, at: writtenAt });
}

let takeBack: (() => Promise<void>) | undefined;
const toast = byId('toast', HTMLElement);
function announce(message: string, undo?: () => Promise<void>): void {
  takeBack = undo;
  const dismiss = element('button', {
    text: 'Dismiss',
    attributes: { type: 'button' },
    on: { click: () => toast.replaceChildren() },
  });
  const text = element('span', { text: message });
  const again = element('button', {
    class: 'primary',
    text: 'Undo',
    attributes: { type: 'button' },
    on: { click: () => void undoLast() },
  });
  replaceContent(toast, dismiss, text, ...(undo ? [again] : []), dismiss);
}

async function undoLast(): Promise<void> {
  const undo = takeBack;
  takeBack = undefined;
  if (!undo) return;
  try {
    await undo();
    announce('Taken back.');
  } catch (error) {
    const conflict = error instanceof ApiError && error.status === 409;
    const why = error instanceof Error ? error.message : String(error);
    announce(conflict ? `It cannot be taken back: it was changed again since. (${why})` : why);
  }
}

/** Runs a task at intervals, one run at a time, while the page is visible. */
function every(ms: number, task: () => Promise<void>): void {
  const round = async (): Promise<void> => {
    if (!document.hidden) await task();
    setTimeout(() => void round(), ms);
  };
  void round();
}

every(POLL_MS, async () => {
  try {
    showHealth(await api.json('readyz'));
  } catch {
    showState('bad', 'Out of reach');
    return;
  }
  try {
    await activity.poll();
    setText(byId('activity-note', HTMLElement), '');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const asks = error instanceof ApiError && error.status === 401;
    setText(byId('activity-note', HTMLElement), asks ? 'The metrics ask for a key of their own.' : why);
  }
});

every(POLL_MS, async () => {
  try {
    await status.poll(hasKey);
  } catch (error) {
    // The key is no longer valid: the feed asks for another one.
    if (hasKey && error instanceof ApiError && error.status === 401) feed.start();
    // The pill at the top says that the broker is out of reach.
    if (!(error instanceof ApiError && error.status === 0))
      setText(byId('extensions-note', HTMLElement), error instanceof Error ? error.message : String(error));
  }
});

every(LIFETIMES_MS, async () => {
  const ending = view.visible().filter((name) => tree.get(name)?.ttl !== undefined);
  try {
    await feed.refresh(ending);
  } catch (error) {
    // The feed says that the broker is out of reach; anything else is shown here.
    if (!(error instanceof ApiError)) setText(note, String(error));
  }
});

keyForm.addEventListener('submit', (event) => {
  event.preventDefault();
  api.setKey(keyField.value);
  feed.start();
});
filter.addEventListener('input', () => view.setFilter(filter.value));
byId('register', HTMLButtonElement).addEventListener('click', () => panel.create());
// Ages and remaining lifetimes change every second.
setInterval(drawSoon, 1000);
document.documentElement.classList.add('scripted');
feed.start();
