// Which key does what, and when it must not.

import { describe, expect, it } from 'vitest';

import { actionOf } from '../src/state/shortcuts.svelte.js';

/** What a key press on an element of this kind means. */
function pressed(key: string, init: KeyboardEventInit = {}, tag = 'button') {
  const element = document.createElement(tag);
  document.body.append(element);
  let action: string | undefined;
  element.addEventListener('keydown', (event) => (action = actionOf(event)));
  element.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, ...init }));
  element.remove();
  return action;
}

describe('a key', () => {
  it.each([
    ['m', {}, 'mute'],
    ['d', {}, 'deafen'],
    ['v', {}, 'camera'],
    ['s', {}, 'screen'],
    ['L', { shiftKey: true }, 'leave'],
    ['?', { shiftKey: true }, 'help'],
  ])('%s %j means %s', (key, init, action) => {
    expect(pressed(key, init)).toBe(action);
  });

  it('leaving takes Shift: it cannot happen by a slip', () => {
    expect(pressed('l')).toBeUndefined();
  });

  it.each([{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { repeat: true }])('with %j belongs to the browser', (init) => {
    expect(pressed('m', init)).toBeUndefined();
  });

  it.each(['input', 'textarea', 'select'])('typed into %s is text', (tag) => {
    expect(pressed('m', {}, tag)).toBeUndefined();
  });
});
