// From an image file to the pixels that an exported file takes.

const MOST_PIXELS = 50_000_000; // the network's first steps need some 40 bytes for each

/**
 * Draw an image file on a canvas, upright and on black, and return its pixels.
 *
 * Colours stay as the file has them, without colour management, as in training.
 *
 * @param {File} file
 * @param {HTMLCanvasElement} canvas It gets the size of the image.
 * @returns {Promise<{pixels: Uint8Array, width: number, height: number}>} RGB, row by row.
 */
export async function drawPicture(file, canvas) {
  const bitmap = await decode(file);
  try {
    requireSize(bitmap, file.name);
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    return { pixels: withoutAlpha(data), width, height };
  } finally {
    bitmap.close();
  }
}

async function decode(file) {
  try {
    return await createImageBitmap(file, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
    });
  } catch (error) {
    throw new Error(
      `${file.name} is no picture that this browser can read (${error.message}). Expected for ` +
        `instance a JPEG, PNG, WebP, GIF or BMP file, whole. Choose another file or convert it.`,
    );
  }
}

function requireSize({ width, height }, name) {
  if (width * height > MOST_PIXELS) {
    throw new Error(
      `${name} has ${width} x ${height} pixels. Expected at most ${MOST_PIXELS / 1e6} million, ` +
        `for the memory of a tab. Scale the picture down.`,
    );
  }
}

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}
