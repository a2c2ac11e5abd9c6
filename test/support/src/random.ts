/** Numbers that look random and follow from a seed alone. */
export interface Random {
  /** From 0 up to, but not including, 1. */
  next(): number
  /** A whole number from `least` to `greatest`, both included. */
  between(least: number, greatest: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
}

/** Starts a sequence. The names tell sequences of one seed apart, e.g. `(7, 'round', 12)`. */
export function createRandom(seed: number, ...names: readonly (string | number)[]): Random {
  let state = hash(`${seed}/${names.join('/')}`)
  // "mulberry32" by Tommy Ettinger: 32 bits of state are plenty for schedules.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    between: (least, greatest) => least + Math.floor(next() * (greatest - least + 1)),
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)]!,
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0)!, 0x01000193)
  return value
}
