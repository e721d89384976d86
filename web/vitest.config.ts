// Unit tests of the SDK and the app; the tests in real browsers are in e2e/ and have a runner of their own.

import { fileURLToPath } from 'node:url';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'sdk', root: 'sdk', include: ['test/**/*.test.ts'], environment: 'node' } },
      {
        plugins: [svelte({ configFile: fileURLToPath(new URL('./app/svelte.config.js', import.meta.url)) })],
        resolve: {
          alias: { '@parlor/client': fileURLToPath(new URL('./sdk/src/index.ts', import.meta.url)) },
          // Components are tested as in the browser, not as rendered on a server.
          conditions: ['browser'],
        },
        test: { name: 'app', root: 'app', include: ['test/**/*.test.ts'], environment: 'happy-dom' },
      },
    ],
  },
});
