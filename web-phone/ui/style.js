/** How the phone looks. The host page changes it by custom properties (`--phone-…`) and `::part(…)`. */
const css = `
:host {
  --accent: var(--phone-accent, #0a6e58);
  --on-accent: var(--phone-on-accent, #fff);
  --danger: var(--phone-danger, #c4243a); --danger-ink: var(--phone-danger-ink, #b81f35);
  --ink: var(--phone-ink, #17202b);
  --dim: var(--phone-dim, #566373);
  --paper: var(--phone-paper, #fff);
  --key: var(--phone-key, #f1f4f6);
  --key-hover: var(--phone-key-hover, #e3e9ed);
  --line: var(--phone-line, #d8dfe5);
  --warn: var(--phone-warn, #8a5300);
  --good: var(--phone-good, #0a7d50);
  --radius: var(--phone-radius, 1.25rem);
  display: block; container-type: inline-size; color-scheme: light; color: var(--ink);
  font: 1rem/1.45 var(--phone-font, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
  -webkit-tap-highlight-color: transparent;
}
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) {
  --accent: var(--phone-accent, #4fd1ac); --on-accent: var(--phone-on-accent, #04231b); --danger: var(--phone-danger, #d02a41); --danger-ink: var(--phone-danger-ink, #ff8494);
  --ink: var(--phone-ink, #e8edf2); --dim: var(--phone-dim, #9fadbc); --paper: var(--phone-paper, #1a2028);
  --key: var(--phone-key, #262e38); --key-hover: var(--phone-key-hover, #323c48); --line: var(--phone-line, #37424f);
  --warn: var(--phone-warn, #f0b45a); --good: var(--phone-good, #4fd1ac); color-scheme: dark;
} }
:host([theme="dark"]) {
  --accent: var(--phone-accent, #4fd1ac); --on-accent: var(--phone-on-accent, #04231b); --danger: var(--phone-danger, #d02a41); --danger-ink: var(--phone-danger-ink, #ff8494);
  --ink: var(--phone-ink, #e8edf2); --dim: var(--phone-dim, #9fadbc); --paper: var(--phone-paper, #1a2028);
  --key: var(--phone-key, #262e38); --key-hover: var(--phone-key-hover, #323c48); --line: var(--phone-line, #37424f);
  --warn: var(--phone-warn, #f0b45a); --good: var(--phone-good, #4fd1ac); color-scheme: dark;
}
:host([hidden]) { display: none; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
h2, p, ul, form { margin: 0; padding: 0; }
.phone { background: var(--paper); border: 1px solid var(--line); border-radius: var(--radius); overflow: hidden; min-height: var(--phone-min-height, 34rem);
  display: flex; flex-direction: column; box-shadow: 0 1px 2px rgb(0 0 0 / .05), 0 12px 32px -12px rgb(0 0 0 / .18); }
:host([compact]) .phone { min-height: 0; box-shadow: none; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.icon { width: 1.5em; height: 1.5em; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; flex: none; }
.icon.dots { stroke-width: 3; }
.icon.down { transform: rotate(135deg); }

header { display: flex; align-items: center; gap: .65rem; padding: .7rem .75rem .7rem 1.1rem; border-bottom: 1px solid var(--line); min-height: 3.9rem; }
header .who { min-width: 0; flex: 1; line-height: 1.25; }
header .who b { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
header .who span { color: var(--dim); font-size: .84rem; }
.dot { width: .65rem; height: .65rem; border-radius: 50%; background: var(--dim); flex: none; }
.dot.ready { background: var(--good); } .dot.connecting, .dot.reconnecting { background: var(--warn); animation: blink 1s infinite alternate; }
@keyframes blink { to { opacity: .25; } }

button, select, input { font: inherit; color: inherit; }
button { border: 0; border-radius: .8rem; min-height: 2.75rem; min-width: 2.75rem; padding: .4rem .9rem; background: var(--key); cursor: pointer;
  display: inline-flex; align-items: center; justify-content: center; gap: .5rem; touch-action: manipulation; transition: background .12s, transform .08s; }
button:hover { background: var(--key-hover); } button:active { transform: scale(.97); }
button:focus-visible, input:focus-visible, select:focus-visible, summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button:disabled { opacity: .5; cursor: default; }
button.plain { background: none; padding: 0; } button.plain:hover { background: var(--key); }
button.primary { background: var(--accent); color: var(--on-accent); font-weight: 600; } button.primary:hover { filter: brightness(1.08); }
button.danger { background: var(--danger); color: #fff; font-weight: 600; } button.danger:hover { filter: brightness(1.08); }
button.small { min-height: 2.75rem; color: var(--dim); font-size: .9rem; }
button[aria-expanded="true"] { background: var(--key-hover); box-shadow: inset 0 0 0 2px var(--accent); }
button[aria-pressed="true"] { background: var(--accent); color: var(--on-accent); }

.view { flex: 1; display: flex; flex-direction: column; padding: 1rem 1.1rem 1.2rem; gap: .9rem; min-width: 0; }
.notice { display: flex; gap: .6rem; padding: .65rem .9rem; margin: .7rem .75rem 0; border-radius: .8rem; background: color-mix(in srgb, var(--accent) 12%, var(--paper)); font-size: .93rem; text-align: start; width: auto; justify-content: flex-start; }
.notice:empty { display: none; }
.notice.bad { background: color-mix(in srgb, var(--danger) 14%, var(--paper)); }
h2 { font-size: 1.15rem; font-weight: 650; }
.hint { color: var(--dim); font-size: .92rem; } .hint:empty { display: none; }
.wrong { color: var(--danger-ink); font-size: .92rem; } .wrong:empty { display: none; }
label.field { display: block; } label.field > span { display: block; font-size: .87rem; color: var(--dim); margin-bottom: .2rem; }
input[type=text], input[type=password], input[type=tel], select { width: 100%; min-height: 2.85rem; padding: .45rem .8rem; border: 1px solid color-mix(in srgb, var(--dim) 75%, var(--paper)); border-radius: .8rem; background: var(--paper); text-overflow: ellipsis; }
label.check { display: flex; align-items: center; gap: .6rem; min-height: 2.75rem; }
input[type=checkbox] { width: 1.25rem; height: 1.25rem; accent-color: var(--accent); flex: none; }
input[type=range] { width: 100%; accent-color: var(--accent); min-height: 2rem; }
summary { cursor: pointer; color: var(--dim); padding: .6rem 0; border-radius: .4rem; } details[open] > summary { margin-bottom: .2rem; }
details > * + * { margin-top: .8rem; } .signin .check { margin-block: -.5rem; } .signin details { margin-block: -.7rem 0; }
.stack { display: flex; flex-direction: column; gap: .9rem; }
.try { border-top: 1px solid var(--line); padding-top: 1rem; margin-top: auto; display: grid; gap: .6rem; grid-template-columns: 1fr 1fr; }
.try > :first-child { grid-column: 1 / -1; }
.try button { flex-direction: column; gap: 0; padding: .55rem .5rem; line-height: 1.25; } .try small { color: var(--dim); font-size: .8rem; }
.missing { margin: auto 0; text-align: center; display: grid; gap: .8rem; justify-items: center; }
.missing .icon { font-size: 2.4rem; color: var(--danger-ink); }

.columns { display: grid; gap: 1.2rem; flex: 1; align-content: start; }
.dialfield { position: relative; max-width: 21rem; width: 100%; margin-inline: auto; }
.dialfield input { font-size: 1.25rem; min-height: 3.4rem; padding-inline: 1rem 3.4rem; border-radius: 1rem; }
.dialfield button { position: absolute; inset-inline-end: .3rem; top: .32rem; color: var(--dim); }
.dialfield input:placeholder-shown + button { visibility: hidden; }
.pad { display: grid; grid-template-columns: repeat(3, 1fr); gap: .55rem; max-width: 21rem; width: 100%; margin-inline: auto; }
.pad button { flex-direction: column; gap: 0; font-size: 1.5rem; line-height: 1.1; min-height: 3.5rem; border-radius: 1.1rem; user-select: none; }
.pad span::after { content: attr(data-letters); display: block; font-size: .66rem; letter-spacing: .12em; color: var(--dim); min-height: .85rem; line-height: .85rem; }
.dial { display: flex; flex-direction: column; gap: .8rem; min-width: 0; }
.dial .go { min-height: 3.4rem; border-radius: 1.1rem; font-size: 1.1rem; max-width: 21rem; width: 100%; margin-inline: auto; }
.quick { display: flex; gap: .55rem; max-width: 21rem; width: 100%; margin-inline: auto; } .quick button { flex: 1; font-size: .93rem; }
.recent { min-width: 0; }
.recent .top { display: flex; align-items: center; justify-content: space-between; min-height: 2.75rem; }
.recent ul { list-style: none; display: grid; grid-template-columns: minmax(0, 1fr); gap: .15rem; }
.recent li button { width: 100%; justify-content: flex-start; text-align: start; background: none; padding: .45rem .6rem; gap: .75rem; min-height: 3.2rem; }
.recent li button:hover { background: var(--key); }
.recent .icon { font-size: .9rem; color: var(--dim); } .recent .missed .icon, .recent .missed b { color: var(--danger-ink); }
.recent .text { min-width: 0; flex: 1; line-height: 1.25; } .recent b { display: block; position: relative; font-weight: 550; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.recent .text span { display: block; color: var(--dim); font-size: .84rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .recent time { color: var(--dim); font-size: .84rem; white-space: nowrap; }

.callview { align-items: center; text-align: center; gap: 1rem; } .actions, .actions[hidden] + .ends { margin-top: auto; }
.party { display: grid; justify-items: center; gap: .15rem; margin-top: 1.2rem; max-width: 100%; }
.portrait { width: 6rem; height: 6rem; position: relative; margin-bottom: 1.25rem; }
.avatar { position: absolute; inset: 0; border-radius: 50%; display: grid; place-items: center; font-size: 2.4rem; font-weight: 600; background: color-mix(in srgb, var(--accent) 18%, var(--paper)); color: var(--accent); }
.halo { position: absolute; inset: 0; border-radius: 50%; background: color-mix(in srgb, var(--accent) 22%, transparent); will-change: transform; }
.incoming .halo, .ringing .halo { animation: pulse 1.4s infinite; }
@keyframes pulse { 50% { transform: scale(1.3); opacity: .55; } }
.party h2 { font-size: 1.5rem; overflow-wrap: anywhere; } .party .uri { color: var(--dim); overflow-wrap: anywhere; font-size: .95rem; }
.state { min-height: 1.6rem; margin-top: .35rem; font-size: 1.05rem; display: flex; gap: .7rem; align-items: center; flex-wrap: wrap; justify-content: center; } .timer { font-variant-numeric: tabular-nums; }
.bars { display: inline-flex; gap: 2px; align-items: end; height: 1rem; } .bars i { width: 4px; border-radius: 1px; background: var(--line); height: 25%; } .bars i:nth-child(2) { height: 50%; } .bars i:nth-child(3) { height: 75%; } .bars i:nth-child(4) { height: 100%; }
.bars i.on { background: var(--good); } .bars.poor i.on { background: var(--danger-ink); } .bars.fair i.on { background: var(--warn); }
.why { color: var(--dim); font-size: .88rem; min-height: 1.3rem; }
.meter { display: flex; align-items: center; gap: .5rem; color: var(--dim); width: min(15rem, 100%); font-size: .85rem; } .meter .track { flex: 1; height: .4rem; border-radius: .2rem; background: var(--key); overflow: hidden; }
.meter .fill { height: 100%; border-radius: inherit; background: var(--good); transform-origin: left; transform: scaleX(0); will-change: transform; } :host(:dir(rtl)) .meter .fill { transform-origin: right; }
.actions { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: clamp(.25rem, 2cqi, .6rem); width: 100%; max-width: 24rem; }
.actions button { flex-direction: column; gap: .2rem; padding: .7rem .2rem; min-height: 4.4rem; border-radius: 1.1rem; font-size: clamp(.68rem, 3.6cqi, .85rem); min-width: 0; }
.actions span { max-width: 100%; overflow: hidden; text-overflow: ellipsis; } @container (max-width: 19rem) { .actions button { padding-inline: 0; letter-spacing: -.02em; } }
.ends { display: flex; gap: .8rem; width: 100%; max-width: 24rem; } .ends button { flex: 1; min-height: 3.6rem; border-radius: 1.8rem; font-size: 1.05rem; }
.withpad .party { margin-top: 0; } .withpad .portrait, .withpad .meter, .withpad .why { display: none; }
.sent { font-size: 1.3rem; letter-spacing: .12em; min-height: 1.9rem; font-variant-numeric: tabular-nums; overflow: hidden; max-width: 100%; direction: rtl; white-space: nowrap; }
.padpanel { width: 100%; display: grid; gap: .6rem; justify-items: center; } .padpanel .pad button { min-height: 3rem; }
.titled { display: flex; align-items: center; gap: .5rem; }
.transfer { display: flex; gap: .5rem; width: 100%; max-width: 24rem; } .transfer input { min-width: 0; flex: 1; } .transfer button { flex: none; }

@container (min-width: 40rem) {
  .phone { min-height: var(--phone-min-height, 38rem); }
  .columns { grid-template-columns: minmax(17rem, 1fr) minmax(17rem, 1fr); gap: 2rem; } .recent { border-inline-start: 1px solid var(--line); padding-inline-start: 1.6rem; }
  .view { padding: 1.4rem 1.6rem 1.6rem; } .signin { max-width: 27rem; width: 100%; margin-inline: auto; } .settings { max-width: 32rem; width: 100%; margin-inline: auto; }
}
@container (max-width: 19rem) { .view { padding: .7rem; } .pad { gap: .35rem; } .pad button { min-height: 3rem; padding: .2rem; } .ends button { padding: .3rem; gap: .3rem; } .try, .quick { grid-template-columns: 1fr; flex-wrap: wrap; } }
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { button { border: 1px solid ButtonText; } .bars i.on, .meter .fill { background: Highlight; } }
`;

/** @type {CSSStyleSheet | null} */
let sheet = null;

/** One sheet for all phones of a page; allowed under `style-src 'self'`. */
export function styleSheet() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  return sheet;
}
