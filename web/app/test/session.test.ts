// The page's state: what a changed address does to it, and what it remembers of the others.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { Session } from '../src/state/session.svelte.js';

beforeEach(() => {
  sessionStorage.clear();
  vi.stubGlobal('fetch', () => Promise.resolve({ status: 404, ok: false, headers: new Headers() }));
});
afterEach(() => {
  location.hash = '';
  vi.unstubAllGlobals();
});

it('a token that is opened in the same window signs in, and does not stay in the address', async () => {
  const session = new Session();
  await vi.waitFor(() => expect(session.identity).toEqual({ kind: 'none' }));
  const name = { name: 'Ann' };
  location.hash = `#token=x.${btoa(JSON.stringify(name))}.y&channel=den`;
  dispatchEvent(new HashChangeEvent('hashchange'));
  expect(location.hash).toBe('#channel=den');
  await vi.waitFor(() => expect(session.identity?.kind).toBe('host'));
  expect([session.name, session.channelId]).toEqual(['Ann', 'den']);
  expect(session.canInvite, 'the address has no token, so nobody else gets in by it').toBe(false);
  session.identity = { kind: 'guest' };
  expect(session.canInvite).toBe(true);
});

it('how loud somebody was made is remembered while the page is open', () => {
  const session = new Session();
  expect(session.volumeOf('alice')).toBe(1);
  session.setVolume('alice', 0.3);
  expect([session.volumeOf('alice'), session.volumeOf('bob')]).toEqual([0.3, 1]);
});
