import { element } from '../element.ts';

/** A line over the last minutes, with the present value beside it. */
export interface Plot {
  readonly figure: HTMLElement;
  /** Adds a value; undefined where it is unknown. */
  add(value: number | undefined): void;
}

const POINTS = 90;
const WIDTH = 180;
const HEIGHT = 36;
const SVG = 'http://www.w3.org/2000/svg';

export function createPlot(title: string, format: (value: number) => string): Plot {
  const values: (number | undefined)[] = [];
  const value = element('span', { class: 'value', text: '–' });
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const area = document.createElementNS(SVG, 'path');
  area.setAttribute('class', 'area');
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('class', 'line');
  svg.append(area, line);
  const caption = element('figcaption', {}, element('span', { text: title }), value);
  const figure = element('figure', { class: 'plot' }, caption);
  figure.append(svg);

  function draw(): void {
    const most = Math.max(...values.map((item) => item ?? 0), Number.MIN_VALUE);
    const step = WIDTH / (POINTS - 1);
    const from = POINTS - values.length;
    const at = values.map((item, i): [number, number] => [
      (from + i) * step,
      HEIGHT - 2 - ((item ?? 0) / most) * (HEIGHT - 6),
    ]);
    const points = at.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' L');
    line.setAttribute('d', at.length > 1 ? `M${points}` : '');
    const [[first] = [0]] = at;
    area.setAttribute(
      'd',
      at.length > 1 ? `M${first.toFixed(1)},${HEIGHT} L${points} L${WIDTH},${HEIGHT} Z` : '',
    );
  }

  return {
    figure,
    add(item) {
      values.push(item);
      if (values.length > POINTS) values.shift();
      value.textContent = item === undefined ? '–' : format(item);
      draw();
    },
  };
}
