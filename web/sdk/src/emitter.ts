// A typed event emitter: handlers by name, each payload with its type.

type Handler<T> = (payload: T) => void;

/** `Events` maps each event's name to its payload. */
export class Emitter<Events extends object> {
  readonly #handlers = new Map<keyof Events, Set<Handler<never>>>();

  /** Calls the handler at every such event. Returns what takes it off again. */
  on<E extends keyof Events>(event: E, handler: Handler<Events[E]>): () => void {
    let set = this.#handlers.get(event);
    if (!set) this.#handlers.set(event, (set = new Set()));
    set.add(handler);
    return () => void set.delete(handler);
  }

  /** Calls the handler at the next such event only. */
  once<E extends keyof Events>(event: E, handler: Handler<Events[E]>): () => void {
    const off = this.on(event, (payload) => {
      off();
      handler(payload);
    });
    return off;
  }

  /** A handler that throws must not keep the others from hearing, nor break the call. */
  protected emit<E extends keyof Events>(event: E, payload: Events[E]): void {
    for (const handler of [...(this.#handlers.get(event) ?? [])]) {
      try {
        (handler as Handler<Events[E]>)(payload);
      } catch (error) {
        console.error(`parlor: a handler of "${String(event)}" threw`, error);
      }
    }
  }
}
