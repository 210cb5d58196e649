// The self-test: does the file answer here as the trained network did?

export const TOLERANCE = 0.02; // in a probability, for pixels that preprocessing rounds otherwise
export const NETWORK_PIXELS = 1; // by which a landmark may be off, in the network's square

/**
 * Run the examples inside the file, one after the other.
 *
 * @param {import("./model.js").Model} model
 * @yields {{picture, expected: number, found: number, difference: number, distance: number,
 *   passed: boolean}} The example, its class by the network and here, the largest difference of a
 *   probability, how far landmarks are off in pixels of the example, and whether that is right.
 */
export async function* selfTest(model) {
  for (const example of model.golden) {
    const picture = await unpack(example);
    const answer = await model.answer(picture);
    const { probabilities, landmarks = [] } = example.outputs;
    const [expected, found] = [best(probabilities), best(answer.probabilities)];
    const difference = furthest(probabilities, answer.probabilities);
    const distance = furthest(landmarks.flat(), answer.landmarks ?? []);
    const pixel = Math.max(picture.width, picture.height) / model.metadata.preprocessing.image_size;
    const passed =
      expected === found && difference <= TOLERANCE && distance <= NETWORK_PIXELS * pixel;
    yield { picture, expected, found, difference, distance, passed };
  }
}

async function unpack({ shape: [height, width], data }) {
  const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return { pixels: new Uint8Array(await new Response(stream).arrayBuffer()), width, height };
}

function best(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

function furthest(some, others) {
  return Math.max(0, ...some.map((number, index) => Math.abs(number - others[index])));
}
