// The page's voice service, and what it says of the call as state.

import { type ChannelInfo, initVoiceService, type Participant } from '@parlor/client';

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

class Call {
  channel = $state.raw<ChannelInfo>();
  participants = $state.raw<readonly Participant[]>([]);
  self = $state.raw(voice.self);
}

/** The call as it is now. */
export const call = new Call();

for (const event of ['joined', 'left', 'participants', 'self'] as const) {
  voice.on(event, () => {
    call.channel = voice.channel;
    call.participants = voice.participants;
    call.self = voice.self;
  });
}
