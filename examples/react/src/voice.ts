// The page's voice service, and a hook with what it says of the call.

import { initVoiceService } from '@parlor/client';
import { useSyncExternalStore } from 'react';

const url = (import.meta.env['VITE_PARLOR_URL'] as string | undefined) ?? 'http://localhost:7400';
const user = crypto.randomUUID();
let name = '';

/** A guest token of a server in development mode. In production your application signs it: see ../../node-host. */
async function token(): Promise<string> {
  const response = await fetch(`${url}/api/dev/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user, name, pro: true }),
  });
  return ((await response.json()) as { token: string }).token;
}

/** The page's voice service. */
export const voice = initVoiceService({ url, token });

/** Joins under a name. */
export function join(as: string): Promise<void> {
  name = as;
  return voice.joinChannel('lobby');
}

const look = () => ({ channel: voice.channel, participants: voice.participants, self: voice.self });
const listeners = new Set<() => void>();
let call = look();

for (const event of ['joined', 'left', 'participants', 'self'] as const) {
  voice.on(event, () => {
    call = look();
    for (const listener of listeners) listener();
  });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The call as it is now; the component renders again when it changes. */
export function useCall() {
  return useSyncExternalStore(subscribe, () => call);
}
