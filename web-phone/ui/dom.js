/** Elements without markup: attributes, listeners and children in one call. Text is always text. */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties] `on…` listeners, `data`/`aria-…`/`part`/`class` attributes, others properties
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes('-') && name !== 'part' && name !== 'list') /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name === 'class' ? 'class' : name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map((child) => /** @type {Node | string} */ (child)));
  return element;
}

/** Strokes on a field of 24 by 24. */
const ICONS = {
  phone: 'M6.6 3.5h2.6l1.7 4.3-2.1 1.7a12.5 12.5 0 0 0 5.7 5.7l1.7-2.1 4.3 1.7v2.6a2.2 2.2 0 0 1-2.3 2.2A15.6 15.6 0 0 1 4.4 5.8a2.2 2.2 0 0 1 2.2-2.3z',
  mic: 'M12 3.5a2.7 2.7 0 0 1 2.7 2.7v5a2.7 2.7 0 0 1-5.4 0v-5A2.7 2.7 0 0 1 12 3.5zM5.8 11a6.2 6.2 0 0 0 12.4 0M12 17.2v3.3M9 20.5h6',
  micOff: 'M14.7 9.5V6.2a2.7 2.7 0 0 0-5.2-.9M9.3 9.4v1.8a2.7 2.7 0 0 0 4.3 2.1M5.8 11a6.2 6.2 0 0 0 9.8 5.1M18.2 11a6.2 6.2 0 0 1-.7 2.9M12 17.2v3.3M9 20.5h6M4 4l16 16',
  pause: 'M8.5 5v14M15.5 5v14',
  play: 'M8 5.2v13.6L18.8 12z',
  keypad: 'M6 5.5h.01M12 5.5h.01M18 5.5h.01M6 11.5h.01M12 11.5h.01M18 11.5h.01M6 17.5h.01M12 17.5h.01M18 17.5h.01',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4zM9 14.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z',
  speaker: 'M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11',
  back: 'M14.5 5l-7 7 7 7',
  erase: 'M9 5.5h10.5v13H9L3.5 12zM12 9.5l5 5M17 9.5l-5 5',
  transfer: 'M4 8h14M14.5 4.5L18 8l-3.5 3.5M20 16H6M9.5 12.5L6 16l3.5 3.5',
  outgoing: 'M7 17L17 7M9.5 7H17v7.5',
  incoming: 'M17 7L7 17M14.5 17H7V9.5',
  missed: 'M6 7l6 6 7-7M6 12V7h5',
  failed: 'M7 7l10 10M17 7L7 17',
};

/** @param {keyof typeof ICONS} name @param {string} [className] */
export function icon(name, className = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [key, value] of Object.entries({ viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false', class: `icon ${className}` })) svg.setAttribute(key, value);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** @param {number} seconds @returns {string} `02:07`, `1:02:07` */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours ? `${hours}:` : ''}${two(minutes)}:${two(whole % 60)}`;
}
