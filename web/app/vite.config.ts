// Builds the app into dist/, which the server embeds; in development requests go on to a server on port 7400.

import { fileURLToPath } from 'node:url';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

import { compress } from './compress.ts';

const server = 'http://localhost:7400';

export default defineConfig({
  plugins: [svelte(), compress()],
  resolve: {
    // The SDK's sources: no build of it is needed to work on the app.
    alias: { '@parlor/client': fileURLToPath(new URL('../sdk/src/index.ts', import.meta.url)) },
  },
  build: { target: 'es2022', outDir: 'dist', emptyOutDir: true, sourcemap: false },
  server: { port: 7480, proxy: { '/api': server, '/socket.io': { target: server, ws: true } } },
});
