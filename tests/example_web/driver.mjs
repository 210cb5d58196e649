// Drives a page in headless Chromium for the tests beside it: one call a line in, its result out.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [folder, chromiumPath, profile] = process.argv.slice(2);
const { chromium } = createRequire(`${folder}/`)('playwright-core');
const flags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
];
const context = await chromium.launchPersistentContext(profile, {
  executablePath: chromiumPath,
  headless: true,
  args: flags,
});
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(60_000);
const requests = [];
const complaints = [];
context.on('request', (request) => requests.push(request.url()));
page.on('console', (message) => complaints.push(message.text()));
page.on('pageerror', (error) => complaints.push(error.message));

const own = {
  requests: () => requests.splice(0),
  complaints: () => complaints.splice(0),
  press: (key) => page.keyboard.press(key),
};
console.log(JSON.stringify({ result: 'ready' }));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...values] = JSON.parse(line);
  try {
    const result = await (own[name] ? own[name](...values) : page[name](...values));
    console.log(JSON.stringify({ result: name === 'goto' ? null : (result ?? null) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
await context.close();
