// The arrangement of tiles that makes them as large as they can be.

export interface Grid {
  columns: number;
  width: number;
  height: number;
}

/** As wide as cameras are. */
const WIDEST = 16 / 9;
/** In a wide box little may be cut off a picture's sides; in a tall one, a phone's, upright tiles use the space. */
const NARROWEST_WIDE = 4 / 3;
const NARROWEST_TALL = 0.8;

/** Fits `count` equal tiles into a box; sizes in CSS pixels. */
export function fitGrid(count: number, boxWidth: number, boxHeight: number, gap: number): Grid {
  const narrowest = boxWidth > boxHeight ? NARROWEST_WIDE : NARROWEST_TALL;
  let best: Grid = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (boxWidth - gap * (columns - 1)) / columns;
    const cellHeight = (boxHeight - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const width = Math.min(cellWidth, cellHeight * WIDEST);
    const height = Math.min(cellHeight, width / narrowest);
    if (width * height > best.width * best.height) best = { columns, width: Math.floor(width), height: Math.floor(height) };
  }
  return best;
}
