/** Runs the tests one after another and counts. */
import { mkdirSync } from 'node:fs';
import { tests } from './phone.mjs';
import { tests as videoio } from './videoio.mjs';
import { tests as firefox } from './firefox.mjs';
import { tests as softphone } from './softphone.mjs';
import { tests as tokens } from './tokens.mjs';
import { startBrowser, startGateway } from './rig.mjs';

const wanted = process.argv[2] ?? '';
if (process.env.SHOTS) mkdirSync(process.env.SHOTS, { recursive: true });
const gateway = await startGateway().catch((error) => {
  console.log(`FAILED  ${error.message}\n\n0 passed, 1 failed`);
  process.exit(1);
});
const browser = await startBrowser();
let passed = 0, failed = 0;
// In a network namespace there is a SIP phone to call, and nothing else to prove.
const all = process.env.GATEWAY_TESTS_NETNS ? softphone : { ...tests, ...videoio, ...(process.env.GATEWAY ? tokens : {}), ...firefox };
for (const [name, test] of Object.entries(all).filter(([name]) => name.includes(wanted))) {
  const pages = [];
  const notes = [];
  try {
    await test({
      browser, gateway, url: gateway.page, track: (opened) => (pages.push(opened), opened),
      note: (text) => notes.push(text),
      shot: async (page, title) => { if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${title}.png` }); },
    });
    passed++;
    console.log(`ok      ${name}${notes.length ? `  [${notes.join('; ')}]` : ''}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n        ${String(error.stack ?? error).split('\n').slice(0, 6).join('\n        ')}`);
    if (notes.length) console.log(`        [${notes.join('; ')}]`);
    for (const { faults } of pages) if (faults?.length) console.log('        page:', faults.slice(0, 5).join('\n        '));
    const seen = pages.find(({ page }) => page)?.page;
    if (process.env.SHOTS && seen) await seen.screenshot({ path: `${process.env.SHOTS}/FAILED-${failed}.png` }).catch(() => {});
  }
  for (const { context } of pages) await context.close().catch(() => {});
}
await browser.close();
gateway.stop();
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
