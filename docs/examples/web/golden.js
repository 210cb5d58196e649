// The self-test: does the file answer here as the trained network did? As 'fdmo verify' judges.

// How far a probability may be off, by the file's precision: letterboxing rounds some pixels to the
// other side, and fewer bits do the rest.
const TOLERANCES = { fp32: 0.02, fp16: 0.03, int8: 0.25 };
const MOVED = 0.06; // of a picture's longer side, from which a landmark lies elsewhere
const MOST_MOVED = 0.25; // share of landmarks; between two places that are as good, rounding decides

/**
 * Run the examples inside a file, one after the other.
 *
 * @param {import("./model.js").Model} model
 * @yields {{picture, expected: number, found: number, difference: number, moved: number,
 *   landmarks: number, passed: boolean}} The example, its class by the network and here, the largest
 *   difference of a probability, how many of its landmarks lie elsewhere, and whether the
 *   probabilities are close enough.
 */
export async function* selfTest(model) {
  for (const example of model.golden) {
    const picture = await unpack(example);
    const answer = await model.answer(picture);
    const { probabilities, landmarks = [] } = example.outputs;
    const difference = furthest(probabilities, answer.probabilities);
    yield {
      picture,
      expected: best(probabilities),
      found: best(answer.probabilities),
      difference,
      moved: countMoved(landmarks, answer.landmarks, picture),
      landmarks: landmarks.length,
      passed: difference <= tolerance(model), // not-a-number is not
    };
  }
}

/**
 * Judge all results of a self-test.
 *
 * @returns {{passed: boolean, text: string}}
 */
export function judge(results, model) {
  const right = results.filter((one) => one.passed).length;
  const [moved, landmarks] = ['moved', 'landmarks'].map((name) =>
    results.reduce((sum, one) => sum + one[name], 0),
  );
  const few = moved <= MOST_MOVED * landmarks;
  const passed = results.length > 0 && right === results.length && few;
  const worst = Math.max(0, ...results.map((one) => one.difference));
  let text =
    `${passed ? 'Passed' : 'Failed'}: ${right} of ${results.length} examples are answered as by ` +
    `the trained network. The largest difference of a probability is ${worst.toFixed(5)}, ` +
    `${tolerance(model)} is allowed.`;
  if (landmarks) {
    text += ` ${moved} of ${landmarks} landmarks lie elsewhere, ${MOST_MOVED * landmarks} may.`;
  }
  return { passed, text };
}

function tolerance(model) {
  return TOLERANCES[model.metadata.precision.name];
}

async function unpack({ shape: [height, width], data }) {
  const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return { pixels: new Uint8Array(await new Response(stream).arrayBuffer()), width, height };
}

function countMoved(expected, found, { width, height }) {
  const far = MOVED * Math.max(width, height);
  return expected.filter((point, k) => furthest(point, found.slice(2 * k, 2 * k + 2)) > far).length;
}

function best(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

function furthest(some, others) {
  return Math.max(...some.map((number, index) => Math.abs(number - others[index])));
}
