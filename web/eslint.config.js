// The lints of everything that is TypeScript, Svelte or JavaScript, here and in the examples. Format is prettier's business.

import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';

const SVELTE = ['**/*.svelte', '**/*.svelte.ts'];
/** What runs while something is built: no tsconfig.json of a page has it. */
const OF_BUILDS = ['**/vite.config.ts', '**/vitest.config.ts', '**/compress.ts', '**/compress.test.ts'];

export default defineConfig(
  globalIgnores(['**/generated/', '**/dist/', '**/node_modules/', '**/target/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx', '**/*.svelte'],
    extends: [ts.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, extraFileExtensions: ['.svelte'] } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // The runner waits for its tests by itself.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['describe', 'it', 'suite', 'test'] }] },
      ],
      // What a signal was aborted with is thrown as it is.
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingAny: true, allowThrowingUnknown: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // The compiler knows what is defined.
      'no-undef': 'off',
    },
  },
  {
    files: SVELTE,
    extends: [svelte.configs.recommended, svelte.configs.prettier],
    languageOptions: { parserOptions: { parser: ts.parser } },
    // Not every list is shown: `$state` says which is.
    rules: { 'svelte/prefer-svelte-reactivity': 'off' },
  },
  {
    files: ['**/*.svelte'],
    rules: {
      // Only svelte-check, which looks at them too, knows the types that other components have.
      '@typescript-eslint/no-redundant-type-constituents': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  // A method that is put back where it was taken from needs no object.
  { files: ['**/test/**', '**/tests/**'], rules: { '@typescript-eslint/unbound-method': 'off' } },
  { files: OF_BUILDS, extends: [ts.configs.disableTypeChecked], languageOptions: { parserOptions: { projectService: false } } },
  { files: ['**/*.js', '**/*.mjs'], languageOptions: { globals: globals.node } },
);
