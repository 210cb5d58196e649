/** Reads picture files as the classifier takes them. */
import sharp from 'sharp';

/**
 * Read a JPEG, PNG, WebP, GIF or TIFF file: upright, RGB, black where it is transparent.
 *
 * @param {string} path
 * @returns {Promise<{width: number, height: number, data: Buffer}>}
 */
export async function readPicture(path) {
  const picture = sharp(path, { ignoreIcc: true, failOn: 'truncated' }); // training ignores ICC too
  if ((await picture.metadata()).space === 'cmyk') {
    throw new Error(
      `${path} is a CMYK picture. Expected RGB or grey, for which all programs agree on the ` +
        'colours. Convert it first.',
    );
  }
  const { data, info } = await picture
    .autoOrient()
    .flatten({ background: 'black' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}
