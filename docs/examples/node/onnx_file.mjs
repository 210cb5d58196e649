/**
 * Reads and changes the bytes of an exported file; an ONNX file is one protobuf message.
 *
 * onnxruntime for JavaScript gives no access to a model's metadata, and it hides inputs that have a
 * default (onnxruntime-node 1.30 ignores a value for them, onnxruntime-web 1.30 refuses it). Both
 * are a matter of a few fields of the message, and no protobuf library is needed for them.
 */
import { createHash } from 'node:crypto';

// Field numbers of onnx.proto.
const MODEL_GRAPH = 7;
const MODEL_METADATA = 14;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;
const GRAPH_INITIALIZER = 5;
const TENSOR_NAME = 8;

const DIGEST_KEY = 'fdmo_sha256';
const DIGEST_LENGTH = 64;

/**
 * Return the file's metadata.
 *
 * @param {Buffer} file
 * @returns {Map<string, string>} Text by key.
 */
export function readMetadata(file) {
  const entries = new Map();
  for (const field of fields(file)) {
    if (field.number !== MODEL_METADATA) continue;
    entries.set(textOf(field.content, ENTRY_KEY), textOf(field.content, ENTRY_VALUE));
  }
  return entries;
}

/** Throw unless the file is as it was exported: it carries the SHA-256 of its own bytes. */
export function requireDigest(file) {
  const start = file.lastIndexOf(DIGEST_KEY) + DIGEST_KEY.length + 2; // tag and length of the value
  const end = start + DIGEST_LENGTH;
  const hash = createHash('sha256');
  hash.update(file.subarray(0, start));
  hash.update('0'.repeat(DIGEST_LENGTH)); // the digest is that of the bytes with zeros in its place
  hash.update(file.subarray(end));
  if (hash.digest('hex') !== file.toString('latin1', start, end)) {
    throw new Error(
      'The file is not as it was exported: its digest is missing or wrong. Expected an unchanged ' +
        "file that 'fdmo export onnx' wrote. Fetch it again, or export the run again.",
    );
  }
}

/** Return the file without the defaults of these inputs; a session then asks for them. */
export function withoutDefaults(file, names) {
  const isDefault = (field) =>
    field.number === GRAPH_INITIALIZER && names.includes(textOf(field.content, TENSOR_NAME));
  const parts = [];
  for (const field of fields(file)) {
    if (field.number !== MODEL_GRAPH) {
      parts.push(field.whole);
      continue;
    }
    const kept = fields(field.content).filter((one) => !isDefault(one));
    const length = kept.reduce((sum, one) => sum + one.whole.length, 0);
    parts.push(varint((MODEL_GRAPH << 3) | 2), varint(length), ...kept.map((one) => one.whole));
  }
  return Buffer.concat(parts);
}

function textOf(message, number) {
  const found = fields(message).find((field) => field.number === number);
  return found ? new TextDecoder().decode(found.content) : '';
}

/** Return the fields of a message: number, content and the whole of it with tag and length. */
function fields(message) {
  const found = [];
  for (let start = 0; start < message.length; ) {
    const [tag, afterTag] = readVarint(message, start);
    const [from, end] = extent(message, tag & 7, afterTag);
    const content = message.subarray(from, end);
    found.push({ number: tag >>> 3, content, whole: message.subarray(start, end) });
    start = end;
  }
  return found;
}

/** Return where the content of a field begins and ends. */
function extent(message, wireType, start) {
  if (wireType === 0) return [start, readVarint(message, start)[1]];
  if (wireType === 1) return [start, start + 8];
  if (wireType === 5) return [start, start + 4];
  if (wireType !== 2) throw new Error(`Fields of wire type ${wireType} do not occur in ONNX.`);
  const [length, from] = readVarint(message, start);
  return [from, from + length];
}

/** Return the number that begins there, seven bits a byte, lowest first, and where it ends. */
function readVarint(message, start) {
  let value = 0;
  let at = start;
  for (let scale = 1; ; scale *= 128) {
    value += (message[at] & 127) * scale;
    if (!(message[at++] & 128)) return [value, at];
  }
}

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Uint8Array.from([...bytes, value]);
}
