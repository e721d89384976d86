// The lints are those of web/eslint.config.js, where their packages are.
export { default } from './web/eslint.config.js';
