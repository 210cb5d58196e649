/** Classifies picture files: node classify.mjs MODEL PICTURE... */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { best, Classifier } from './classifier.mjs';
import { readPicture } from './pictures.mjs';

const USAGE = `node classify.mjs MODEL PICTURE... [options]
  --balanced      count all classes alike, whatever the training images were
  --prior FILE    or count them as frequent as this JSON says: {"class": 0.2, ...}
  --tau NUMBER    how far to follow either; 0 is not at all, 1 (the default) wholly
  --box L,T,R,B   only that part of each picture: left, top, right, bottom in pixels
  --batch NUMBER  pictures at a time (default 8)
  --json          one JSON document a line, with all probabilities and the landmarks
  --self-test     classify the file's own examples instead, and compare`;

const OPTIONS = {
  balanced: { type: 'boolean' },
  prior: { type: 'string' },
  tau: { type: 'string', default: '1' },
  box: { type: 'string' },
  batch: { type: 'string', default: '8' },
  json: { type: 'boolean' },
  'self-test': { type: 'boolean' },
};

async function main() {
  const { values: options, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [model, ...files] = positionals;
  if (!model || (files.length === 0) !== Boolean(options['self-test'])) throw new Error(USAGE);
  const classifier = await Classifier.open(model);
  if (options['self-test']) return selfTest(classifier);
  const size = number(options.batch, 'batch');
  if (!Number.isInteger(size) || size < 1) throw new Error(USAGE);
  const box = options.box?.split(',').map((text) => number(text, 'box'));
  const dials = {
    targetPrior: await targetPrior(classifier.classNames, options),
    tau: number(options.tau, 'tau'),
  };
  const show = options.json ? asJson : asLine;
  for (let start = 0; start < files.length; start += size) {
    const read = await readPictures(files.slice(start, start + size));
    if (read.length === 0) continue;
    const boxes = box && read.map(() => box);
    const pictures = read.map(([, picture]) => picture);
    const answers = await classifier.classify(pictures, { boxes, ...dials });
    answers.forEach((answer, row) => console.log(show(classifier, read[row][0], answer)));
  }
}

/** Return file and picture of those that can be read; name the others on standard error. */
async function readPictures(files) {
  const read = [];
  for (const file of files) {
    try {
      read.push([file, await readPicture(file)]);
    } catch (error) {
      console.error(`${file}: ${error.message}`);
      process.exitCode = 3;
    }
  }
  return read;
}

async function targetPrior(classNames, { balanced, prior }) {
  if (balanced && prior) throw new Error('--balanced and --prior exclude each other. Give one.');
  if (balanced) return classNames.map(() => 1 / classNames.length);
  if (!prior) return undefined;
  const shares = JSON.parse(await readFile(prior, 'utf8'));
  const numbers = classNames.map((name) => shares[name]);
  const sum = numbers.reduce((total, one) => total + one, 0);
  const complete = Object.keys(shares).length === classNames.length;
  if (!complete || !numbers.every((one) => one >= 0) || !(Math.abs(sum - 1) < 1e-3)) {
    throw new Error(
      `${prior} is no prior of this file. Expected numbers from 0 on with sum 1, one for each of ` +
        `${classNames.join(', ')}. Correct it.`,
    );
  }
  return numbers;
}

function number(text, name) {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) {
    throw new Error(`--${name} is '${text}'. Expected a number. Give for instance --${name} 1.`);
  }
  return value;
}

function asLine({ classNames }, file, { probabilities }) {
  const at = best(probabilities);
  return [file, classNames[at], probabilities[at].toFixed(4)].join('\t');
}

function asJson({ classNames, about }, file, { probabilities, landmarks, visibility }) {
  const named = about.landmark_names.map((name, k) => {
    return { name, x: landmarks[2 * k], y: landmarks[2 * k + 1], visibility: visibility[k] };
  });
  return JSON.stringify({
    file,
    class: classNames[best(probabilities)],
    probabilities: Object.fromEntries(classNames.map((name, c) => [name, probabilities[c]])),
    landmarks: named,
  });
}

async function selfTest(classifier) {
  const { images, flips, difference, allowed, passed } = await classifier.selfTest();
  console.log(
    `${passed ? 'passed' : 'FAILED'}: ${images} examples, ${flips} with another class, ` +
      `probabilities differ by at most ${difference.toExponential(1)} (allowed ${allowed})`,
  );
  if (!passed) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 2;
});
