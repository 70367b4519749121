/** What the browser's processes cost, by thread: from /proc, whose counters are exact to the nanosecond. */
import { readFileSync, readdirSync } from 'node:fs';

/** Processes of the browser: [{id, type}], type `renderer`, `browser`, `GPU`, … */
async function processes(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.map(({ id, type }) => ({ id, type }));
}

/** ns of CPU by `pid/tid`, with what they are called. */
function snapshot(list) {
  const times = new Map();
  for (const { id, type } of list) {
    let tasks = [];
    try { tasks = readdirSync(`/proc/${id}/task`); } catch { continue; } // it has ended
    for (const task of tasks) {
      try {
        const [ns] = readFileSync(`/proc/${id}/task/${task}/schedstat`, 'latin1').split(' ');
        const name = readFileSync(`/proc/${id}/task/${task}/comm`, 'latin1').trim();
        times.set(`${id}/${task}`, { ns: Number(ns), type, name });
      } catch { /* so has this thread */ }
    }
  }
  return times;
}

/**
 * Percent of a core over `seconds`.
 * @returns {Promise<{renderer: number, others: number, threads: {name: string, percent: number}[]}>} renderer: of all pages; others:
 *   what the browser does beside them (drawing, sound card, sockets); threads: the renderers', most first
 */
export async function cpu(browser, seconds) {
  const list = await processes(browser);
  const before = snapshot(list), began = process.hrtime.bigint();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = snapshot(list), wall = Number(process.hrtime.bigint() - began);
  let renderer = 0, others = 0;
  const threads = new Map(), beside = new Map();
  for (const [key, { ns, type, name }] of after) {
    const percent = ((ns - (before.get(key)?.ns ?? 0)) / wall) * 100;
    if (type === 'renderer') renderer += percent;
    else others += percent;
    const [group, label] = type === 'renderer' ? [threads, name] : [beside, `${type} ${name}`];
    group.set(label, (group.get(label) ?? 0) + percent);
  }
  const sorted = (group) => [...group].map(([name, percent]) => ({ name, percent })).sort((a, b) => b.percent - a.percent).filter(({ percent }) => percent >= 0.05);
  return { renderer, others, threads: sorted(threads), beside: sorted(beside) };
}
