/** A file that 'fdmo export onnx' wrote, run with onnxruntime-node. */
import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { readMetadata, requireDigest, withoutDefaults } from './onnx_file.mjs';

const FORMAT = 2; // of the metadata
const DIALS = ['box', 'target_prior', 'tau'];
const TOLERANCES = { fp32: 0.02, fp16: 0.03, int8: 0.25 }; // in a probability of an example

export class Classifier {
  /**
   * Open a file that takes whole images.
   *
   * @param {string} path
   * @returns {Promise<Classifier>}
   */
  static async open(path) {
    const file = await readFile(path);
    requireDigest(file);
    const metadata = readMetadata(file);
    const about = JSON.parse(metadata.get('fdmo'));
    if (about.format !== FORMAT || !about.preprocessing.in_graph || about.external_data) {
      throw new Error(
        `${path} takes no whole images, has its weights in a second file, or its metadata are ` +
          `not of format ${FORMAT}. Expected one file that 'fdmo export onnx' wrote without ` +
          '--no-preprocessing. Export the run again.',
      );
    }
    const session = await InferenceSession.create(withoutDefaults(file, DIALS));
    return new Classifier(session, about, JSON.parse(metadata.get('fdmo_golden')));
  }

  /** Use `Classifier.open`. */
  constructor(session, about, golden) {
    this.session = session;
    this.about = about; // docs/onnx.md lists its entries
    this.golden = golden;
  }

  get classNames() {
    return this.about.class_names;
  }

  /**
   * Classify images, of any sizes, in one batch.
   *
   * @param {{width: number, height: number, data: Uint8Array}[]} images RGB, upright, row by row.
   * @param {object} [options]
   * @param {number[][]} [options.boxes] For each image left, top, right and bottom of what is to be
   *   classified, in pixels. Default: the whole image.
   * @param {number[]} [options.targetPrior] How frequent each class is where you use the file.
   *   Default: as frequent as the scores take it to be, which changes nothing.
   * @param {number} [options.tau] How far the scores follow `targetPrior`; 0 is not at all.
   * @returns {Promise<object[]>} For each image the outputs of the file by name, flat arrays:
   *   probabilities, logits, features and, of a file with landmarks, landmarks (x and y of each, in
   *   pixels of the image) and visibility.
   * @throws {Error} A box has no area inside its image.
   */
  async classify(images, { boxes, targetPrior = this.about.prior.source, tau = 1 } = {}) {
    const answers = await this.session.run({
      image: padded(images),
      box: floats(images.flatMap((image, i) => clipped(boxes?.[i], image)), [images.length, 4]),
      target_prior: floats(targetPrior, [this.classNames.length]),
      tau: floats([tau], []),
    });
    return images.map((_, row) =>
      Object.fromEntries(
        Object.entries(answers).map(([name, { data, dims }]) => {
          const size = dims.slice(1).reduce((product, dim) => product * dim, 1);
          return [name, data.slice(row * size, (row + 1) * size)];
        }),
      ),
    );
  }

  /**
   * Classify the images that the file carries and compare with the answers that it carries.
   *
   * @returns {Promise<object>} The number of `images`, how often another class is best (`flips`),
   *   the largest `difference` of a probability, how much is `allowed`, and whether it `passed`.
   */
  async selfTest() {
    const images = this.golden.map(({ shape: [height, width], data }) => ({
      width,
      height,
      data: inflateSync(Buffer.from(data, 'base64')),
    }));
    const found = (await this.classify(images)).map((answer) => answer.probabilities);
    const expected = this.golden.map(({ outputs }) => outputs.probabilities);
    const flips = expected.filter((row, i) => best(row) !== best(found[i])).length;
    const differences = expected.flatMap((row, i) => row.map((p, c) => Math.abs(p - found[i][c])));
    const difference = Math.max(...differences);
    const allowed = TOLERANCES[this.about.precision.name];
    const passed = difference <= allowed; // not-a-number does not
    return { images: images.length, flips, difference, allowed, passed };
  }
}

/** Return the place of the largest number. */
export function best(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

/** Return a box as far as it is inside the image. */
function clipped(box, { width, height }) {
  const [left, top, right, bottom] = box ?? [0, 0, width, height];
  const corner = [Math.max(0, left), Math.max(0, top)];
  const end = [Math.min(width, right), Math.min(height, bottom)];
  if (!(end[0] > corner[0] && end[1] > corner[1])) {
    throw new Error(
      `A box has no area inside its image of ${width} x ${height} pixels. Expected left, top, ` +
        'right, bottom in pixels. Correct it, or give none.',
    );
  }
  return [...corner, ...end];
}

/** Return images as one tensor, filled up with zeros; each image's box keeps the rest out. */
function padded(images) {
  const width = Math.max(...images.map((image) => image.width));
  const height = Math.max(...images.map((image) => image.height));
  const data = new Uint8Array(images.length * height * width * 3);
  images.forEach((image, i) => {
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
      data.set(row, (i * height + y) * width * 3);
    }
  });
  return new Tensor('uint8', data, [images.length, height, width, 3]);
}

function floats(numbers, shape) {
  return new Tensor('float32', Float32Array.from(numbers), shape);
}
