// The arrangement of tiles that makes them as large as they can be.

export interface Grid {
  columns: number;
  width: number;
  height: number;
}

/** Pictures are shown between upright (phones) and wide (cameras). */
const NARROWEST = 0.8;
const WIDEST = 16 / 9;

/** Fits `count` equal tiles into a box; sizes in CSS pixels. */
export function fitGrid(count: number, boxWidth: number, boxHeight: number, gap: number): Grid {
  let best: Grid = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (boxWidth - gap * (columns - 1)) / columns;
    const cellHeight = (boxHeight - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const width = Math.min(cellWidth, cellHeight * WIDEST);
    const height = Math.min(cellHeight, width / NARROWEST);
    if (width * height > best.width * best.height) best = { columns, width: Math.floor(width), height: Math.floor(height) };
  }
  return best;
}
