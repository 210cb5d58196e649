// Moves answers to other class frequencies, as the optional inputs of an exported file do.

const SMALLEST_PRIOR = 1e-12; // what a frequency of 0 counts as, for its logarithm is finite

/**
 * Return the frequencies that a person can choose by name; each sums to 1.
 *
 * @param {{prior: {source: number[]}, class_counts: number[]}} metadata Of the file.
 */
export function priors({ prior, class_counts: counts }) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return {
    source: prior.source,
    balanced: counts.map(() => 1 / counts.length),
    natural: counts.map((count) => count / total),
  };
}

/**
 * Return the probabilities at other class frequencies.
 *
 * onnxruntime-web refuses the inputs `target_prior` and `tau`, for they have defaults; what the
 * graph does with them is this one line.
 *
 * @param {number[]} logits As the file gave them at its defaults.
 * @param {{source: number[], target: number[], tau: number}} dials
 */
export function probabilities(logits, { source, target, tau }) {
  const moved = logits.map(
    (logit, k) => logit + tau * Math.log(Math.max(target[k], SMALLEST_PRIOR) / source[k]),
  );
  const highest = Math.max(...moved);
  const powers = moved.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}
