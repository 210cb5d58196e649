// Opens an exported file and runs it with onnxruntime-web; nothing of the page is in here.

import * as ort from './node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';
import { findMetadata, text } from './protobuf.js';
import { isIntact } from './seal.js';

const FORMAT = 2;
const MOST_THREADS = 4;
const AGAIN = 'Export the run again, or fetch the file again.';

// Several threads share memory, which a browser allows to pages that its server isolates.
const numThreads = self.crossOriginIsolated
  ? Math.min(MOST_THREADS, navigator.hardwareConcurrency)
  : 1;
ort.env.wasm.numThreads = numThreads;
ort.env.wasm.proxy = true; // a worker runs the network, so that the page answers meanwhile

/** An exported file, ready to run. */
export class Model {
  #session;

  constructor(session, { name, size, metadata, golden }) {
    this.#session = session;
    /** What messages call it. */
    this.name = name;
    /** Bytes. */
    this.size = size;
    /** What the file says of itself; docs/onnx.md lists the entries. */
    this.metadata = metadata;
    /** Examples with the answers that the file must give. */
    this.golden = golden;
    /** That run it. */
    this.numThreads = numThreads;
  }

  /**
   * Open a file after checking that it is one of ours, whole and unchanged.
   *
   * @param {Uint8Array} bytes They move into the worker and are empty afterwards.
   * @param {string} name What messages call it.
   */
  static async open(bytes, name) {
    const entries = findEntries(bytes, name);
    await requireIntact(bytes, entries.get('fdmo_sha256'), name);
    const metadata = JSON.parse(text(bytes, entries.get('fdmo')));
    requireWholeImages(metadata, name);
    const golden = JSON.parse(text(bytes, entries.get('fdmo_golden')));
    const about = { name, size: bytes.length, metadata, golden };
    const options = { executionProviders: ['wasm'], logSeverityLevel: 3 };
    try {
      return new Model(await ort.InferenceSession.create(bytes, options), about);
    } catch (error) {
      throw new Error(
        `${name} cannot be loaded: ${error.message}. Expected a file that this onnxruntime-web ` +
          `can run in the memory of a tab. Try an fp32 file of a smaller network.`,
      );
    }
  }

  /**
   * Classify a picture.
   *
   * @param {{pixels: Uint8Array, width: number, height: number}} picture RGB, row by row.
   * @returns {Promise<Record<string, number[]>>} The outputs by name, without the batch; landmarks
   *   as x, y, x, y and so on, in pixels of the picture.
   */
  async answer({ pixels, width, height }) {
    const sent = pixels.slice(); // what is sent to the worker is gone here
    const image = new ort.Tensor('uint8', sent, [1, height, width, 3]);
    try {
      const outputs = Object.entries(await this.#session.run({ image }));
      return Object.fromEntries(outputs.map(([name, { data }]) => [name, Array.from(data)]));
    } catch (error) {
      throw new Error(
        `${this.name} could not classify a picture of ${width} x ${height} pixels: ` +
          `${error.message}. Expected that it fits into the memory of a tab. Try a smaller ` +
          `picture, or load the page again.`,
      );
    }
  }

  /** Free its memory. */
  async close() {
    await this.#session.release();
  }
}

function findEntries(bytes, name) {
  const entries = walked(bytes, name);
  if (!entries.has('fdmo')) {
    throw new Error(
      `${name} is an ONNX file, but fdmo did not write it. Expected a file that says what its ` +
        `classes are. Write one with 'fdmo export onnx RUN'.`,
    );
  }
  if (!entries.has('fdmo_sha256') || !entries.has('fdmo_golden')) {
    throw new Error(`${name} has no digest or no examples. Expected both inside it. ${AGAIN}`);
  }
  return entries;
}

function walked(bytes, name) {
  try {
    return findMetadata(bytes);
  } catch (error) {
    throw new Error(
      `${name} is no whole ONNX file: ${error.message}. Expected a file that 'fdmo export onnx' ` +
        `wrote. Choose such a file, or fetch it again.`,
    );
  }
}

async function requireIntact(bytes, place, name) {
  if (!self.isSecureContext) {
    throw new Error(
      `${name} cannot be checked: the browser computes digests only for pages from https or from ` +
        `this machine. Expected an address that begins with https:// or http://localhost. Open ` +
        `the page there.`,
    );
  }
  if (!(await isIntact(bytes, place))) {
    throw new Error(
      `${name} was changed or damaged after its export: its digest is not that of its content. ` +
        `Expected the file as 'fdmo export onnx' wrote it. ${AGAIN}`,
    );
  }
}

function requireWholeImages(metadata, name) {
  if (metadata.format !== FORMAT) {
    throw new Error(
      `${name} has metadata of format ${metadata.format}. Expected ${FORMAT}. Use a file that ` +
        `this version of 'fdmo export onnx' wrote.`,
    );
  }
  if (metadata.external_data) {
    throw new Error(
      `${name} keeps its weights in a second file. Expected one file, below 2 GB. Export a run with ` +
        `smaller extractors.`,
    );
  }
  if (metadata.preprocessing?.in_graph === true) return;
  const takes = metadata.preprocessing?.feature_dim
    ? `features, ${metadata.preprocessing.feature_dim} numbers for each picture`
    : 'images that were made square and small before';
  throw new Error(
    `${name} takes ${takes}. Expected a file that takes pictures as they are. Export a run that ` +
      `was trained on images, without --no-preprocessing.`,
  );
}
