// The arrangement of tiles: always inside the box, and as large as can be.

import { describe, expect, it } from 'vitest';

import { fitGrid } from '../src/lib/grid.js';

const BOXES = [
  [1280, 640],
  [360, 560],
  [820, 1100],
  [300, 90],
] as const;

describe.each(BOXES)('in a box of %i × %i', (width, height) => {
  it.each([1, 2, 3, 5, 8, 25])('%i tiles fit', (count) => {
    const grid = fitGrid(count, width, height, 12);
    const rows = Math.ceil(count / grid.columns);
    expect(grid.width * grid.columns + 12 * (grid.columns - 1)).toBeLessThanOrEqual(width);
    expect(grid.height * rows + 12 * (rows - 1)).toBeLessThanOrEqual(height);
    expect(grid.width).toBeGreaterThan(0);
  });
});

it('two people are side by side on a desk, one above the other on a phone', () => {
  expect(fitGrid(2, 1280, 640, 12).columns).toBe(2);
  expect(fitGrid(2, 360, 560, 12).columns).toBe(1);
});

it('without space there is nothing to show, and nothing breaks', () => {
  expect(fitGrid(3, 0, 0, 12)).toEqual({ columns: 1, width: 0, height: 0 });
});
