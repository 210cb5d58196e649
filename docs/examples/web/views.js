// Draws answers into the page: bars, landmarks, facts and the self-test's table.

const SVG = 'http://www.w3.org/2000/svg';
const SHOWN_CLASSES = 5;
const SEEN = 0.5; // visibility from which a landmark is drawn

const element = (...description) => node(document.createElement(description[0]), description);
const shape = (...description) => node(document.createElementNS(SVG, description[0]), description);

function node(made, [, content = [], attributes = {}]) {
  made.append(...[content].flat());
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/**
 * Show the likeliest classes with bars.
 *
 * @param {HTMLElement} list
 * @param {string[]} names
 * @param {number[]} probabilities
 */
export function showClasses(list, names, probabilities) {
  const order = probabilities.map((_, k) => k).sort((a, b) => probabilities[b] - probabilities[a]);
  const rows = order.slice(0, SHOWN_CLASSES).map((k) => {
    const bar = element('span', [], { class: 'bar', 'aria-hidden': 'true' });
    bar.style.setProperty('--share', probabilities[k]);
    const percent = element('span', `${(100 * probabilities[k]).toFixed(1)} %`, {
      class: 'figure',
    });
    const row = element('li', [element('span', names[k]), percent, bar]);
    row.dataset.probability = probabilities[k];
    return row;
  });
  list.replaceChildren(...rows);
}

/**
 * Draw the landmarks that can be seen over the picture, and list all.
 *
 * @param {{drawing: SVGElement, list: HTMLElement}} where
 * @param {string[]} names
 * @param {{landmarks?: number[], visibility?: number[]}} answer
 * @param {{width: number, height: number}} picture
 */
export function showLandmarks({ drawing, list }, names, answer, { width, height }) {
  drawing.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const points = names.map((name, k) => ({
    name,
    number: k + 1,
    x: answer.landmarks[2 * k] + 0.5, // whole numbers are the middles of pixels
    y: answer.landmarks[2 * k + 1] + 0.5,
    visibility: answer.visibility[k],
  }));
  const radius = Math.max(width, height) / 40;
  drawing.replaceChildren(
    ...points.filter((one) => one.visibility >= SEEN).map((one) => mark(one, radius)),
  );
  list.replaceChildren(
    ...points.map(({ name, visibility }) => {
      const seen = `${visibility >= SEEN ? 'seen' : 'hidden'}, ${(100 * visibility).toFixed(0)} %`;
      return element('li', [element('span', name), element('span', seen, { class: 'figure' })]);
    }),
  );
}

function mark({ name, number, x, y }, radius) {
  return shape('g', [
    shape('title', name),
    shape('circle', [], { cx: x, cy: y, r: radius }),
    shape('text', `${number}`, { x, y, 'font-size': 1.3 * radius }),
  ]);
}

/**
 * Show what a file says of itself.
 *
 * @param {HTMLElement} list
 * @param {Record<string, string>} facts
 */
export function showFacts(list, facts) {
  const rows = Object.entries(facts);
  list.replaceChildren(
    ...rows.flatMap(([name, fact]) => [element('dt', name), element('dd', fact)]),
  );
}

/**
 * Return a row of the self-test's table.
 *
 * @param {string[]} names Of classes.
 * @param {object} result Of golden.js.
 */
export function exampleRow(
  names,
  { picture, expected, found, difference, moved, landmarks, passed },
) {
  const classes = expected === found ? names[found] : `${names[found]}, not ${names[expected]}`;
  return element('tr', [
    element('td', thumbnail(picture)),
    element('td', classes),
    element('td', difference.toFixed(5)),
    element('td', landmarks ? `${moved} of ${landmarks}` : 'none'),
    element('td', passed ? 'passed' : 'failed', { class: passed ? 'good' : 'bad' }),
  ]);
}

function thumbnail({ pixels, width, height }) {
  const canvas = element('canvas', [], { width, height, 'aria-hidden': 'true' });
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    image.data.set(pixels.subarray(from, from + 3), to);
    image.data[to + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}
