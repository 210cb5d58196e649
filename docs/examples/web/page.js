// Makes the page work: files in, answers out, errors said where a person looks.

import { priors, probabilities } from './dials.js';
import { judge, selfTest } from './golden.js';
import { drawPicture } from './picture.js';
import { exampleRow, showClasses, showFacts, showLandmarks } from './views.js';

const byId = (id) => document.getElementById(id);

let model = null; // the open file
let picture = null; // RGB pixels, width, height and name of the picture on the canvas
let answer = null; // the file's outputs for it
let turn = Promise.resolve(); // what was asked for is done one after the other

/** Do something when all before it is done, and say in the page what went wrong. */
function inTurn(doing, work) {
  turn = turn.then(async () => {
    byId('status').textContent = doing;
    byId('error').hidden = true;
    await work().catch(showError);
    byId('status').textContent = '';
  });
}

function showError(error) {
  byId('error').textContent = error.message;
  byId('error').hidden = false;
}

async function loadRuntime() {
  try {
    return await import('./model.js');
  } catch (error) {
    throw new Error(
      `onnxruntime-web cannot be loaded: ${error.message}. Expected its files where README.md says, ` +
        `below node_modules. Put them there and load the page again.`,
    );
  }
}

async function openModel(read, name) {
  const { Model } = await loadRuntime();
  const opened = await Model.open(new Uint8Array(await read()), name);
  await model?.close();
  model = opened;
  showModel();
  if (picture) await classify();
}

function showModel() {
  const { class_names: classes, landmark_names: landmarks, fdmo, license } = model.metadata;
  showFacts(byId('facts'), {
    File: `${model.name}, ${(model.size / 1e6).toFixed(1)} MB`,
    Digest: 'unchanged since its export',
    Classes: `${classes.length}`,
    Landmarks: landmarks.length ? `${landmarks.length}` : 'none',
    'Written by': `fdmo ${fdmo}`,
    Precision: model.metadata.precision.name,
    Licence: license || 'not said',
    Threads: `${model.numThreads}`,
  });
  byId('no-file').hidden = true;
  byId('verdict').textContent = '';
  byId('examples').replaceChildren();
  byId('examples').closest('.scroll').hidden = true;
  byId('self-test').disabled = false;
}

async function openPicture(file) {
  picture = await drawPicture(file, byId('pixels'));
  picture.name = file.name;
  clearAnswer();
  byId('picture').hidden = false;
  byId('picture').style.setProperty('--ratio', picture.width / picture.height);
  if (!model) {
    throw new Error("No file is open. Expected an exported file. Open one under 'The file'.");
  }
  await classify();
}

function clearAnswer() {
  for (const id of ['classes', 'points', 'landmarks']) byId(id).replaceChildren();
  byId('landmarks-part').hidden = byId('caption').hidden = byId('dials').disabled = true;
  byId('no-answer').hidden = false;
}

async function classify() {
  clearAnswer();
  const start = performance.now();
  answer = await model.answer(picture);
  const took = Math.round(performance.now() - start);
  const { name, width, height } = picture;
  byId('caption').textContent = `${name}, ${width} x ${height} pixels, ${took} ms`;
  byId('caption').hidden = false;
  const names = model.metadata.landmark_names;
  if (names.length > 0) {
    byId('landmarks-part').hidden = false;
    showLandmarks({ drawing: byId('points'), list: byId('landmarks') }, names, answer, picture);
  }
  byId('dials').disabled = false;
  byId('no-answer').hidden = true;
  followDials();
}

function followDials() {
  const chosen = document.querySelector('input[name=prior]:checked').value;
  const tau = byId('tau').valueAsNumber;
  byId('tau').disabled = chosen === 'source'; // it would change nothing
  byId('tau-value').textContent = tau.toFixed(2);
  const known = priors(model.metadata);
  const dials = { source: known.source, target: known[chosen], tau };
  showClasses(byId('classes'), model.metadata.class_names, probabilities(answer.logits, dials));
}

async function testModel() {
  byId('verdict').textContent = '';
  byId('examples').replaceChildren();
  byId('examples').closest('.scroll').hidden = false;
  const results = [];
  for await (const result of selfTest(model)) {
    results.push(result);
    byId('examples').append(exampleRow(model.metadata.class_names, result));
  }
  const { passed, text } = judge(results, model);
  byId('verdict').textContent = text;
  byId('verdict').className = passed ? 'good' : 'bad';
}

function askForPicture(file) {
  if (file) inTurn('Looking at the picture …', () => openPicture(file));
}

function askForModel(file) {
  if (file) inTurn('Opening the file …', () => openModel(() => file.arrayBuffer(), file.name));
}

async function openNeighbour() {
  const response = await fetch('model.onnx');
  if (response.status === 404) {
    byId('no-file').textContent = 'There is no model.onnx beside this page: open a file.';
  } else if (!response.ok) {
    throw new Error(
      `model.onnx cannot be fetched (${response.status} ${response.statusText}). Expected the ` +
        `file beside this page. Look at what the server says, or open a file.`,
    );
  } else {
    await openModel(() => response.arrayBuffer(), 'model.onnx');
  }
}

byId('picture-file').addEventListener('change', (event) => askForPicture(event.target.files[0]));
byId('model-file').addEventListener('change', (event) => askForModel(event.target.files[0]));
byId('self-test').addEventListener('click', () => inTurn('Testing …', testModel));
byId('dials').addEventListener('input', followDials);
for (const id of ['picture-file', 'model-file']) {
  byId(id).addEventListener('click', ({ target }) => (target.value = '')); // the same file again
}
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  (file?.name.endsWith('.onnx') ? askForModel : askForPicture)(file);
});
addEventListener('error', (event) => showError(event.error ?? event));
addEventListener('unhandledrejection', (event) => showError(event.reason));
inTurn('Opening the file …', openNeighbour);
