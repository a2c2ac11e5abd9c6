import { expect, test } from 'vitest'
import { checkHistory } from './check-history.ts'
import type { Entry, Operation } from './entry.ts'
import { readHistory } from './history.ts'
import type { Rule } from './violation.ts'

type Line = { [Type in Entry['type']]: Omit<Extract<Entry, { type: Type }>, 'at'> }[Entry['type']]
type LineOfCall = Exclude<Line, { type: 'call' }> & { readonly call: string }

/** Writes histories by hand: the time is what the test says, in milliseconds. */
class Script {
  readonly #entries: Entry[] = []

  at(ms: number, line: Line): this {
    this.#entries.push({ at: ms * 1_000, ...line })
    return this
  }

  call(
    ms: number,
    call: string,
    { operation = 'acquire', limit = 1 }: { operation?: Operation; limit?: number } = {},
  ): this {
    return this.at(ms, { type: 'call', call, client: call.split('#')[0]!, key: 'k', operation, limit })
  }

  grant(ms: number, call: string, token: number, ticket?: string): this {
    return this.at(ms, { type: 'granted', call, token, ...(ticket === undefined ? {} : { ticket }) })
  }

  write(ms: number, call: string): this {
    return this.at(ms, { type: 'write', call })
  }

  ending(ms: number, call: string, how: 'complete' | 'fail' | 'release' = 'release'): this {
    return this.at(ms, { type: 'ending', call, how, retainMs: 60_000 })
  }

  end(ms: number, call: string, line: Partial<LineOfCall> = {}): this {
    return this.at(ms, { type: 'ended', call }).at(ms, { type: 'result', call, result: 'held', ...line } as Line)
  }

  /** A whole hold: asked for and granted at `ms`, written under and released 10 ms later. */
  hold(ms: number, call: string, token: number): this {
    return this.call(ms, call)
      .grant(ms + 1, call, token)
      .write(ms + 10, call)
      .ending(ms + 10, call)
      .end(ms + 11, call)
  }

  restart(ms: number, record: object | undefined): this {
    const records =
      record === undefined ? [] : [{ key: 'k', state: 'free', limit: 1, holders: [], queue: [], ...record }]
    return this.at(ms, { type: 'restarted', answeredAt: ms * 1_000 + 500, records } as unknown as Line)
  }

  /** The rules that are broken, each once. */
  broken(): Rule[] {
    const isSteady = (client: string) => client.startsWith('steady.')
    return [...new Set(checkHistory(readHistory(this.#entries), { isSteady }).map(({ rule }) => rule))]
  }
}

test('a history of holds one after the other breaks no rule', () => {
  expect(new Script().hold(0, 'a.0#1', 1).hold(20, 'b.0#1', 2).hold(40, 'a.0#2', 3).broken()).toEqual([])
})

test('two holders of a mutex at one time are reported', () => {
  const script = new Script().call(0, 'a.0#1').call(0, 'b.0#1').grant(1, 'a.0#1', 1).grant(5, 'b.0#1', 2)
  script.write(9, 'a.0#1').ending(9, 'a.0#1').end(10, 'a.0#1').ending(12, 'b.0#1').end(13, 'b.0#1')
  expect(script.broken()).toEqual(['mutual exclusion'])
})

test('a holder that has not asserted its lease since is no second holder', () => {
  const script = new Script().call(0, 'a.0#1').call(0, 'b.0#1').grant(1, 'a.0#1', 1).write(4, 'a.0#1')
  script
    .grant(5, 'b.0#1', 2)
    .ending(7, 'b.0#1')
    .end(8, 'b.0#1')
    .end(9, 'a.0#1', { result: 'lost' } as never)
  expect(script.broken()).toEqual([])
})

test('as many holders as the limit are no violation, one more is', () => {
  const script = new Script()
  for (const [index, call] of ['a.0#1', 'b.0#1', 'c.0#1'].entries()) {
    script.call(0, call, { limit: 2 }).grant(index + 1, call, index + 1)
  }
  const closed = (calls: string[]) => calls.forEach((call) => script.write(9, call).ending(9, call).end(10, call))
  closed(['a.0#1', 'b.0#1', 'c.0#1'])
  expect(script.broken()).toEqual(['mutual exclusion'])
  const two = new Script().call(0, 'a.0#1', { limit: 2 }).call(0, 'b.0#1', { limit: 2 })
  two.grant(1, 'a.0#1', 1).grant(2, 'b.0#1', 2).write(9, 'a.0#1').end(9, 'a.0#1').end(9, 'b.0#1')
  expect(two.broken()).toEqual([])
})

test('a write under a smaller token after one under a greater token is reported', () => {
  const script = new Script().call(0, 'a.0#1').call(0, 'b.0#1').grant(1, 'b.0#1', 2).write(2, 'b.0#1').end(3, 'b.0#1')
  script.grant(4, 'a.0#1', 1).write(5, 'a.0#1').end(6, 'a.0#1')
  expect(script.broken()).toEqual(['fenced writes'])
})

test('a token that comes twice is reported', () => {
  const script = new Script().call(0, 'b.0#1').hold(0, 'a.0#1', 7).grant(20, 'b.0#1', 7).end(21, 'b.0#1')
  expect(script.broken()).toEqual(['token order'])
})

test('a token that is smaller than one granted before it was asked for is reported', () => {
  const script = new Script().hold(0, 'a.0#1', 7).hold(20, 'b.0#1', 3)
  expect(script.broken()).toContain('token order')
})

test('a call that never ends is reported, unless its process was killed', () => {
  expect(new Script().call(0, 'a.0#1').broken()).toEqual(['every call ends'])
  expect(new Script().call(0, 'a.0#1').at(5, { type: 'killed', process: 'a' }).broken()).toEqual([])
})

test('a waiter that is granted before one who was in line earlier is reported', () => {
  const script = new Script().call(0, 'a.0#1', { operation: 'ticket' }).call(4, 'b.0#1', { operation: 'ticket' })
  script.at(2, { type: 'queued', call: 'a.0#1', ticket: 'ta', position: 1 })
  script.at(5, { type: 'queued', call: 'b.0#1', ticket: 'tb', position: 2 })
  script.grant(10, 'b.0#1', 1, 'tb').end(11, 'b.0#1').grant(12, 'a.0#1', 2, 'ta').end(13, 'a.0#1')
  expect(script.broken()).toEqual(['queue order'])
})

test('a waiter that came back with another ticket may be granted later', () => {
  const script = new Script().call(0, 'a.0#1', { operation: 'ticket' }).call(4, 'b.0#1', { operation: 'ticket' })
  script.at(2, { type: 'queued', call: 'a.0#1', ticket: 'ta', position: 1 })
  script.at(5, { type: 'queued', call: 'b.0#1', ticket: 'tb', position: 2 })
  script.at(8, { type: 'queued', call: 'a.0#1', ticket: 'ta2', position: 2 })
  script.grant(10, 'b.0#1', 1, 'tb').end(11, 'b.0#1').grant(12, 'a.0#1', 2, 'ta2').end(13, 'a.0#1')
  expect(script.broken()).toEqual([])
})

test('a ticket that goes back in the queue is reported', () => {
  const script = new Script().call(0, 'a.0#1', { operation: 'ticket' })
  script.at(2, { type: 'queued', call: 'a.0#1', ticket: 'ta', position: 1 })
  script.at(3, { type: 'queued', call: 'a.0#1', ticket: 'ta', position: 2 })
  expect(script.end(9, 'a.0#1').broken()).toEqual(['queue order'])
})

/** Work that was done and confirmed: token 1, completed at 5 ms. */
function completed(): Script {
  const script = new Script().call(0, 'a.0#1', { operation: 'once' }).grant(1, 'a.0#1', 1)
  return script.ending(5, 'a.0#1', 'complete').end(6, 'a.0#1', { result: 'ran', token: 1 } as never)
}

test('work that is done again while its outcome lasts is reported', () => {
  const script = completed().call(10, 'b.0#1', { operation: 'once' }).grant(11, 'b.0#1', 2)
  expect(script.ending(12, 'b.0#1', 'complete').end(13, 'b.0#1').broken()).toEqual(['once'])
})

test('work that is done again after its outcome is over is no violation', () => {
  const script = completed().call(60_010, 'b.0#1', { operation: 'once' }).grant(60_011, 'b.0#1', 2)
  expect(script.ending(60_012, 'b.0#1', 'complete').end(60_013, 'b.0#1').broken()).toEqual([])
})

test('a value that nobody has made is reported', () => {
  const done = (token: number) => ({ result: 'done', token }) as never
  const ask = (script: Script) => script.call(10, 'b.0#1', { operation: 'once' })
  expect(ask(completed()).end(11, 'b.0#1', done(9)).broken()).toEqual(['once'])
  expect(ask(completed()).end(11, 'b.0#1', done(1)).broken()).toEqual([])
})

test('a refusal that too few failures have led to is reported', () => {
  const script = new Script().call(0, 'a.0#1').end(1, 'a.0#1', { result: 'failed' } as never)
  expect(script.broken()).toEqual(['once'])
})

test('a lease that the server does not know after a restart is reported', () => {
  const granted = () => new Script().call(0, 'steady.0#1').grant(1, 'steady.0#1', 5)
  const held = { holders: [{ node: 'steady.0', fencingToken: 5, heldMs: 1, offered: false }] }
  expect(granted().restart(10, undefined).end(20, 'steady.0#1').broken()).toEqual(['durability'])
  expect(granted().restart(10, held).end(20, 'steady.0#1').broken()).toEqual([])
  expect(granted().ending(9, 'steady.0#1').restart(10, undefined).end(20, 'steady.0#1').broken()).toEqual([])
})

test('a place in the queue that the server does not know after a restart is reported', () => {
  const queued = () => {
    const script = new Script().call(0, 'steady.0#1', { operation: 'ticket' })
    return script.at(2, { type: 'queued', call: 'steady.0#1', ticket: 't', position: 1 })
  }
  const ended = (script: Script) => script.grant(20, 'steady.0#1', 5, 't').end(21, 'steady.0#1').broken()
  expect(ended(queued().restart(10, undefined))).toEqual(['durability'])
  expect(ended(queued().restart(10, { queue: [{ node: 'steady.0', waitedMs: 9 }] }))).toEqual([])
})

test('an outcome that the server does not know after a restart is reported', () => {
  expect(completed().restart(10, undefined).broken()).toEqual(['durability'])
  expect(
    completed()
      .restart(10, { outcome: { fencingToken: 1 } })
      .broken(),
  ).toEqual([])
})

test('a failure that the server does not know after a restart is reported', () => {
  const script = new Script()
  for (const index of [1, 2, 3]) {
    const call = `a.0#${index}`
    script
      .call(index * 10, call)
      .grant(index * 10 + 1, call, index)
      .ending(index * 10 + 2, call, 'fail')
    script.end(index * 10 + 3, call)
  }
  script.call(50, 'b.0#1').end(51, 'b.0#1', { result: 'failed', retryAfterMs: 9_000 } as never)
  expect(script.restart(60, undefined).broken()).toEqual(['durability'])
})

test('a session that was lost without need is reported', () => {
  expect(new Script().at(5, { type: 'session', client: 'steady.0', count: 2 }).broken()).toEqual(['sessions'])
  expect(new Script().at(5, { type: 'session', client: 'p1.0', count: 2 }).broken()).toEqual([])
})

test('a crash is reported', () => {
  expect(new Script().at(5, { type: 'crash', client: 'a.0', error: 'TypeError' }).broken()).toEqual(['no crash'])
})
