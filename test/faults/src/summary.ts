import { type History, type Hold, lastHeldAt } from './history.ts'

/** Counts over many rounds. */
export class Summary {
  rounds = 0
  readonly faults = new Map<string, number>()
  readonly results = new Map<string, number>()
  grants = 0
  /** Grants to someone who had asked while another one held the key. */
  handOvers = 0
  /** The longest from the last that was seen of a holder to the next one's grant, in milliseconds. */
  worstTakeOverMs = 0

  add({ faults, calls, holds }: History): void {
    this.rounds++
    for (const { fault } of faults) count(this.faults, fault)
    for (const { result } of calls) count(this.results, result?.result ?? 'killed')
    for (const ofKey of holds.values()) this.#addHolds(ofKey)
  }

  toString(): string {
    const calls = [...this.results.values()].reduce((sum, each) => sum + each, 0)
    return [
      `${this.rounds} rounds`,
      `faults: ${list(this.faults)}`,
      `${calls} calls: ${list(this.results)}`,
      `${this.grants} grants, ${this.handOvers} hand-overs, worst take-over ${Math.round(this.worstTakeOverMs)} ms`,
    ].join('\n')
  }

  #addHolds(ofKey: readonly Hold[]): void {
    this.grants += ofKey.length
    for (const [index, hold] of ofKey.entries()) {
      const before = ofKey[index - 1]
      if (before === undefined || hold.call.limit !== 1) continue
      const freedAt = before.ending?.at ?? lastHeldAt(before)
      if (freedAt < hold.call.at) continue
      this.handOvers++
      this.worstTakeOverMs = Math.max(this.worstTakeOverMs, (hold.granted.at - freedAt) / 1_000)
    }
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

function list(counts: ReadonlyMap<string, number>): string {
  const names = [...counts].toSorted(([, one], [, other]) => other - one)
  return names.map(([name, number]) => `${number} ${name}`).join(', ') || 'none'
}
