/** Attributes of an element; `text` is its text, `on` its listeners. No value is parsed as HTML. */
export interface ElementOptions {
  readonly class?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly on?: Readonly<Partial<Record<keyof HTMLElementEventMap, (event: Event) => void>>>;
}

/** Makes an element. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  options: ElementOptions = {},
  ...children: readonly Node[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (options.class !== undefined) made.className = options.class;
  if (options.text !== undefined) made.textContent = options.text;
  for (const [name, value] of Object.entries(options.attributes ?? {})) made.setAttribute(name, value);
  for (const [type, listener] of Object.entries(options.on ?? {})) made.addEventListener(type, listener);
  made.append(...children);
  return made;
}

/** The element of the page with this id. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} '${id}'`);
  return found;
}

/** Sets a text only where it differs, so that a screen reader does not repeat it. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Replaces everything that a place shows. A focus that was in it goes to `target`, since a reader who uses the
 * keyboard would otherwise lose their place.
 */
export function replaceContent(
  place: Element,
  target: HTMLElement,
  ...content: readonly HTMLElement[]
): void {
  const hadFocus = place.contains(document.activeElement);
  place.replaceChildren(...content);
  if (hadFocus) target.focus();
}

/**
 * Changes the children of a place until they look like `wanted`. An element that is shown again stays the same
 * element, so focus, selected text, scroll position and a click that has begun survive. Elements with a
 * `data-path` are recognised by it, others by position and tag. A kept element keeps its former listeners, so a
 * listener must read what can change when it runs.
 */
export function updateChildren(place: Element, ...wanted: readonly HTMLElement[]): void {
  const paths = new Set(wanted.map(pathOf));
  const kept = new Map<string, Element>();
  for (const child of place.querySelectorAll(':scope > [data-path]')) {
    const path = pathOf(child);
    if (path === null) continue;
    if (paths.has(path)) kept.set(path, child);
    else child.remove();
  }
  wanted.forEach((next, index) => {
    const path = pathOf(next);
    const here = place.children[index];
    const known = path === null ? here : kept.get(path);
    if (known?.tagName !== next.tagName || pathOf(known) !== path) {
      place.insertBefore(next, here ?? null);
      return;
    }
    if (known !== here) place.insertBefore(known, here ?? null);
    update(known as HTMLElement, next);
  });
  while (place.children.length > wanted.length) place.lastElementChild?.remove();
}

function update(shown: HTMLElement, wanted: HTMLElement): void {
  for (const name of shown.getAttributeNames()) if (!wanted.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of wanted.attributes) {
    if (shown.getAttribute(name) === value) continue;
    // The page's Content-Security-Policy allows no style that is set as an attribute.
    if (name === 'style') shown.style.cssText = wanted.style.cssText;
    else shown.setAttribute(name, value);
  }
  if (shown.childElementCount > 0 && wanted.childElementCount > 0)
    updateChildren(shown, ...([...wanted.children] as HTMLElement[]));
  else if (shown.childElementCount + wanted.childElementCount > 0)
    shown.replaceChildren(...wanted.childNodes);
  else setText(shown, wanted.textContent ?? '');
}

function pathOf(shown: Element): string | null {
  return shown.getAttribute('data-path');
}
