// The ways in which the page finds out who its user is: the host's token, a guest's, or none.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { VoiceError } from '@parlor/client';

import { en } from '../src/i18n/en.js';
import { sentenceFor } from '../src/i18n/index.js';
import { findIdentity, guestToken, nameIn, readAddress } from '../src/state/identity.js';

beforeEach(() => sessionStorage.clear());
afterEach(() => void vi.unstubAllGlobals());

const place = (hash: string, search = '') => ({ hash, search, pathname: '/' }) as Location;

function fakeHistory() {
  const addresses: unknown[] = [];
  return {
    addresses,
    history: { replaceState: (_: unknown, __: string, address: unknown) => addresses.push(address) } as unknown as History,
  };
}

function encode(claims: unknown): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims))))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=/g, '');
}

function answering(status: number, body: unknown = {}, type = 'application/json'): void {
  const headers = new Headers({ 'content-type': type });
  vi.stubGlobal('fetch', () => Promise.resolve({ status, ok: status < 300, headers, json: () => Promise.resolve(body) }));
}

describe('the address', () => {
  it('gives the token and the channel, and keeps the channel only', () => {
    const { history, addresses } = fakeHistory();
    expect(readAddress(place('#token=a.b.c&channel=lobby'), history)).toEqual({ token: 'a.b.c', channel: 'lobby' });
    expect(addresses).toEqual(['/#channel=lobby']);
  });

  it('that is reloaded without the token still knows it', () => {
    readAddress(place('#token=a.b.c'), fakeHistory().history);
    expect(readAddress(place('#channel=x'), fakeHistory().history)).toEqual({ token: 'a.b.c', channel: 'x' });
  });
});

describe('without a token', () => {
  it('one is a guest where the server hands out guest tokens', async () => {
    answering(200);
    expect(await findIdentity(undefined)).toEqual({ kind: 'guest' });
  });

  it.each([
    [404, 'application/json'],
    [200, 'text/html'],
  ])('one is nobody where it answers %i with %s', async (status, type) => {
    answering(status, {}, type);
    expect(await findIdentity(undefined)).toEqual({ kind: 'none' });
  });
});

describe('a guest token', () => {
  it('is what the server answers', async () => {
    answering(200, { token: 'a.b.c' });
    expect(await guestToken('u', 'Ann', true)).toBe('a.b.c');
  });

  it.each([
    [404, 'UNAUTHENTICATED'],
    [400, 'INVALID_REQUEST'],
    [500, 'SERVER_ERROR'],
  ])('refused with %i is %s', async (status, code) => {
    answering(status);
    await expect(guestToken('u', 'Ann', true)).rejects.toMatchObject({ code });
  });

  it('that is refused for the name says so', async () => {
    answering(400, { error: 'The request is not valid.', code: 'INVALID_REQUEST', details: { field: 'name', reason: 'is too long' } });
    const refused = await guestToken('u', 'Ann', true).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'INVALID_REQUEST', details: { field: 'name' } });
    expect(sentenceFor(refused as VoiceError)).toBe(en['error.INVALID_REQUEST.name']);
  });

  it('of a server that is not there is UNREACHABLE', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed')));
    await expect(guestToken('u', 'Ann', true)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });
});

describe('with a token', () => {
  it.each([
    [{ sub: 'user-42', name: 'Ann' }, 'Ann'],
    [{ sub: 'user-42' }, 'user-42'],
    [{ sub: 'user-42', name: null }, 'user-42'],
  ])('of %j one is called as the others see one', async (claims, name) => {
    expect(await findIdentity(`x.${encode(claims)}.y`)).toMatchObject({ kind: 'host', name });
  });
});

describe('the name in a token', () => {
  it('is read, whatever its letters', () => {
    expect(nameIn(`x.${encode({ name: 'Żoë ☕' })}.y`)).toBe('Żoë ☕');
  });

  it.each(['', 'nonsense', 'a.b.c', 'a.%%%.c', `x.${btoa('[1]')}.y`])('of %j is nothing', (token) => {
    expect(nameIn(token)).toBe('');
  });
});
