/**
 * Runs the tests one after another and counts. Every module beside this one that exports `tests`, an object of functions by
 * sentence, is taken; a test fails by throwing, twice. It is given a kit:
 *
 *   browser, gateway, url   Chromium, the running gateway (rig.mjs) and its page
 *   track(opened)           what openPage() gave: closed afterwards, and its faults shown
 *   note(text), shot(page, title)   a figure for the report; a screenshot, if SHOTS is set
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { startBrowser, startGateway } from './rig.mjs';

/** Modules that start gateways of their own, or have to know where its SIP is: not with PAGE alone. */
const OWN = ['elsewhere.mjs', 'tokens.mjs', 'transfer.mjs'];
/** In a network namespace (tests/in-netns) there is a SIP phone to call, and nothing else to prove. */
const IN_NETNS = 'softphone.mjs';

/** Whether a module's tests can run here. @param {string} name */
function fits(name) {
  if (process.env.GATEWAY_TESTS_NETNS) return name === IN_NETNS;
  return name !== IN_NETNS && (process.env.GATEWAY || !OWN.includes(name));
}

/** The phone first, then what is beside it, by name. */
async function everyTest() {
  const names = readdirSync(new URL('.', import.meta.url)).filter((name) => name.endsWith('.mjs') && name !== 'main.mjs' && fits(name));
  names.sort((a, b) => Number(b === 'phone.mjs') - Number(a === 'phone.mjs') || a.localeCompare(b));
  const modules = await Promise.all(names.map((name) => import(new URL(name, import.meta.url))));
  return modules.flatMap(({ tests = {} }) => Object.entries(tests));
}

const wanted = process.argv[2] ?? '';
if (process.env.SHOTS) mkdirSync(process.env.SHOTS, { recursive: true });
const gateway = await startGateway().catch((error) => {
  console.log(`FAILED  ${error.message}\n\n0 passed, 1 failed`);
  process.exit(1);
});
const browser = await startBrowser();

/** Runs one test; what went wrong, as text, or null. */
async function run(name, test) {
  const pages = [];
  const notes = [];
  const began = Date.now();
  try {
    await test({
      browser, gateway, url: gateway.page, track: (opened) => (pages.push(opened), opened),
      note: (text) => notes.push(text),
      shot: async (page, title) => { if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${title}.png` }); },
    });
    console.log(`ok      ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)${notes.length ? `  [${notes.join('; ')}]` : ''}`);
    return null;
  } catch (error) {
    const lines = String(error.stack ?? error).split('\n').slice(0, 6);
    if (notes.length) lines.push(`[${notes.join('; ')}]`);
    for (const { faults } of pages) if (faults?.length) lines.push('page:', ...faults.slice(0, 5));
    if (process.env.SHOTS && pages[0]) await pages[0].page.screenshot({ path: `${process.env.SHOTS}/FAILED-${name.replace(/\W+/g, '-')}.png` }).catch(() => {});
    return lines.join('\n        ');
  } finally {
    for (const { context } of pages) await context.close().catch(() => {});
  }
}

let passed = 0, failed = 0, flaky = 0;
for (const [name, test] of (await everyTest()).filter(([name]) => name.includes(wanted))) {
  let fault = await run(name, test);
  if (fault) {
    // Calls run in real time: a machine that stands still for a tenth of a second is heard.
    console.log(`again   ${name}\n        ${fault}`);
    fault = await run(name, test);
    if (!fault) flaky++;
  }
  if (fault) {
    failed++;
    console.log(`FAILED  ${name}\n        ${fault}`);
  } else {
    passed++;
  }
}
await browser.close();
gateway.stop();
console.log(`\n${passed} passed, ${failed} failed${flaky ? `, ${flaky} flaky` : ''}`);
process.exit(failed || !passed ? 1 : 0);
