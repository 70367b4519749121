/** SIP addresses as people write and read them. */

/** Characters that turn text around or hide: none of them belongs in a name that a stranger chose. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** @param {string} text */
export const clean = (text) => text.replace(HIDDEN, '').trim();

/**
 * @param {string} text `"Bob" <sip:bob@example.com>`, `sip:bob@example.com` or less
 * @returns {{uri: string, display: string}} display is '' where there is none
 */
export function parseAddress(text) {
  const match = /^\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*<([^>]*)>/.exec(text);
  const display = match ? (match[1]?.replace(/\\(.)/g, '$1') ?? match[2] ?? '') : '';
  return { uri: clean(match ? match[3] : text), display: clean(display) };
}

/** What to call somebody: the name, or else the user part, or else all of it. @param {{uri: string, display: string}} remote */
export const nameOf = ({ uri, display }) => display || shortUri(uri).replace(/@.*/, '') || uri;

/** Without scheme and parameters. @param {string} uri */
export const shortUri = (uri) => uri.replace(/^(sips?|tel):/i, '').replace(/[;?].*/, '');
