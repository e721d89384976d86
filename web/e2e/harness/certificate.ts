// A certificate that nobody signed, and how Chromium is told to take it and no other.

import { createHash, createPublicKey } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './paths.js';

/** A certificate of a name, and its key. */
export class Certificate {
  private readonly directory = temporaryDirectory();
  readonly chain = join(this.directory, 'certificate.pem');
  readonly key = join(this.directory, 'key.pem');

  constructor(name: string) {
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const whose = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
    execFileSync('openssl', ['req', ...kind, ...whose, '-keyout', this.key, '-out', this.chain], { stdio: 'ignore' });
  }

  /** With this flag Chromium takes it, also for TURN over TLS. */
  get flag(): string {
    const key = createPublicKey(readFileSync(this.chain)).export({ type: 'spki', format: 'der' });
    return `--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`;
  }
}
