/** Orders keys by code point, as UTF-8 and SQLite do. JavaScript's own order is another one beyond U+FFFF. */
export function compareKeys(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other))
}
