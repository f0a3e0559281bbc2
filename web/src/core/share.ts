/** Equality of plain data, so that what did not change stays the same object and nobody is told of it. */

/** `next`, with `previous` or parts of it in place of whatever is deeply equal. Changes neither. */
export function share<T>(previous: T, next: T): T {
  if (Object.is(previous, next)) return previous;
  if (Array.isArray(previous) && Array.isArray(next)) return shareArray(previous, next) as T;
  if (isPlain(previous) && isPlain(next)) return shareRecord(previous, next) as T;
  return next;
}

/** Items with an `id` are compared with the one of the same id, wherever it stood; others with the one in their place. */
function shareArray(previous: readonly unknown[], next: readonly unknown[]): readonly unknown[] {
  const byId = new Map(previous.flatMap((item) => (isPlain(item) && "id" in item ? [[item.id, item]] : [])));
  const shared = next.map((item, index) => {
    const partner = isPlain(item) && "id" in item ? byId.get(item.id) : previous[index];
    return share(partner, item);
  });
  const same =
    shared.length === previous.length && shared.every((item, index) => Object.is(item, previous[index]));
  return same ? previous : shared;
}

type Plain = Readonly<Record<string, unknown>>;

function shareRecord(previous: Plain, next: Plain): Plain {
  const names = Object.keys(next);
  const shared = Object.fromEntries(names.map((name) => [name, share(previous[name], next[name])]));
  const same =
    names.length === Object.keys(previous).length &&
    names.every((name) => Object.hasOwn(previous, name) && Object.is(shared[name], previous[name]));
  return same ? previous : shared;
}

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
