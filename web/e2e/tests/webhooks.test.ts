// Webhooks as the host application gets them, checked with the library of Standard Webhooks and nothing of ours.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const secret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

describe('a webhook', () => {
  const [current, old, another] = [secret(), secret(), secret()];
  const deliveries: { body: string; headers: Record<string, string> }[] = [];
  const host = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      deliveries.push({ body, headers: texts(request.headers) });
      // Twice, so that a delivery is seen again.
      response.writeHead(deliveries.length === 1 ? 503 : 204).end();
    });
  });
  let server: Server;

  before(async () => {
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    const address = host.address();
    assert.ok(typeof address === 'object' && address !== null);
    const webhook = `url = "http://127.0.0.1:${address.port}/"\nsecret = "${current}"\nold_secrets = "${old}"`;
    server = await Server.start({ name: 'webhooks', api: true, toml: `[[webhooks]]\n${webhook}` });
  });
  after(async () => {
    await server?.stop();
    host.close();
  });

  it('is verified by the new secret and by the old one, and by no other', async () => {
    const moderation = { channelId: 'lobby', userId: 'mallory' };
    await server.api('PUT', `/channels/${moderation.channelId}`, {});
    await server.api('PUT', `/channels/${moderation.channelId}/bans/${moderation.userId}`, {});
    await until('a delivery is refused and comes again', () => deliveries.length >= 2);
    const [first, again] = deliveries;
    assert.ok(first && again);
    assert.equal(again.headers['webhook-id'], first.headers['webhook-id']);
    for (const { body, headers } of [first, again]) {
      for (const known of [current, old]) {
        const { events } = new Webhook(known).verify(body, headers) as { events: { type: string }[] };
        assert.deepEqual(
          events.map((event) => event.type),
          ['moderation.ban'],
        );
      }
      assert.throws(() => new Webhook(another).verify(body, headers), /No matching signature/);
      assert.throws(() => new Webhook(current).verify(body.replace('mallory', 'alice'), headers), /No matching signature/);
      assert.throws(() => new Webhook(current).verify(body, { ...headers, 'webhook-id': 'msg_0' }), /No matching signature/);
    }
  });
});

function texts(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
