// Is the file as it was written? It carries the SHA-256 of itself.

const UNSEALED = '0'.charCodeAt(0); // 64 of them stood in the digest's place when it was taken
const LENGTH = 64;

/**
 * Return whether the file's digest is that of its content.
 *
 * @param {Uint8Array} bytes The file; its digest is overwritten for a moment.
 * @param {{start: number, end: number}} place Where the digest lies.
 */
export async function isIntact(bytes, { start, end }) {
  if (end - start !== LENGTH) return false;
  const carried = bytes.slice(start, end);
  bytes.fill(UNSEALED, start, end);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  bytes.set(carried, start);
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return found === new TextDecoder().decode(carried);
}
