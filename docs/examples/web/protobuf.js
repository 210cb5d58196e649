// Reads the metadata of an ONNX file from its bytes; onnxruntime-web does not give them out.

const GRAPH = 7; // fields of onnx.ModelProto
const METADATA = 14;
const KEY = 1; // fields of onnx.StringStringEntryProto
const VALUE = 2;

/**
 * Return where the value of each metadata entry lies.
 *
 * @param {Uint8Array} bytes The file.
 * @returns {Map<string, {start: number, end: number}>} By key.
 * @throws {RangeError} The bytes are no whole ONNX file.
 */
export function findMetadata(bytes) {
  const entries = new Map();
  let hasGraph = false;
  for (const field of fields(bytes, 0, bytes.length)) {
    hasGraph ||= field.number === GRAPH;
    if (field.number !== METADATA) continue;
    const parts = [...fields(bytes, field.start, field.end)];
    const [key, value] = [KEY, VALUE].map((number) => parts.find((one) => one.number === number));
    if (key && value) entries.set(text(bytes, key), value);
  }
  if (!hasGraph) throw new RangeError('it holds no graph');
  return entries;
}

/**
 * Return part of the file as text.
 *
 * @param {Uint8Array} bytes
 * @param {{start: number, end: number}} place
 */
export function text(bytes, { start, end }) {
  return new TextDecoder().decode(bytes.subarray(start, end));
}

function* fields(bytes, start, end) {
  let at = start;
  while (at < end) {
    let tag, size;
    [tag, at] = varint(bytes, at);
    const wire = tag % 8;
    if (wire === 0) size = varint(bytes, at)[1] - at;
    else if (wire === 1) size = 8;
    else if (wire === 2) [size, at] = varint(bytes, at);
    else if (wire === 5) size = 4;
    else throw new RangeError(`it has a field of type ${wire} at byte ${at}`);
    if (at + size > end) throw new RangeError(`a field at byte ${at} does not end`);
    yield { number: Math.floor(tag / 8), start: at, end: at + size };
    at += size;
  }
}

function varint(bytes, start) {
  let value = 0;
  for (let index = 0; index < 10 && start + index < bytes.length; index += 1) {
    const byte = bytes[start + index];
    value += (byte % 128) * 128 ** index; // exact below 2 ** 53; no field is longer
    if (byte < 128) return [value, start + index + 1];
  }
  throw new RangeError(`a number at byte ${start} does not end`);
}
