/** Orders keys by code point, as UTF-8 and SQLite do. JavaScript's own order is another one beyond U+FFFF. */
export function compareKeys(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index++) {
    const [left, right] = [one.charCodeAt(index), other.charCodeAt(index)]
    if (left !== right) return rank(left) - rank(right)
  }
  return one.length - other.length
}

/** Puts the halves of surrogate pairs, which stand for what is beyond U+FFFF, after all other code units. */
function rank(unit: number): number {
  return unit >= 0xd8_00 && unit <= 0xdf_ff ? unit + 0x1_00_00 : unit
}

/**
 * The least text that comes after all that begin with a prefix, in the order of their UTF-8 bytes, which is that of their
 * code points; undefined when there is none.
 */
export function successorOf(prefix: string): string | undefined {
  const points = Array.from(prefix)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const next = last.codePointAt(0)! + 1
    if (next > 0x10_ff_ff) continue
    // Between the two lie the halves of surrogate pairs, which are no characters.
    return points.join('') + String.fromCodePoint(next === 0xd8_00 ? 0xe0_00 : next)
  }
  return undefined
}
