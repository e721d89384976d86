// Waiting for a condition with a deadline: no test sleeps for luck.

/** The longest things may take on a busy two-core machine before a test gives up. */
export const PATIENCE_MS = 45_000;

const POLL_MS = 100;

/** Resolves with the first truthy answer of `probe`; rejects after `patience`, naming what was waited for. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  patience = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patience;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${patience} ms in vain until ${what} (last: ${describe(last)})`);
    }
    await pause(POLL_MS);
  }
}

/** Rejects when the promise is not settled in time. */
export async function within<T>(what: string, patience: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${patience} ms`)), patience);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Only between two looks at a condition, or as the window of a measurement. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function describe(value: unknown): string {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
