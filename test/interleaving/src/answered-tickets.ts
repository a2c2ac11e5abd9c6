import type { WireRequest } from './server-in-process.ts'

interface Acquire {
  readonly op?: string
  readonly ticket?: string
}

/**
 * Tickets that were told `done`, `failed` or `busy`. To the server they are over: asking again is a new wish. What a
 * client sent before and has arrived late it cancels by itself. A copy that is made on the way, of a request that was
 * answered, nobody could cancel: HTTP forbids it (RFC 9110, 9.2.2: only idempotent methods are repeated automatically),
 * and the network does not make such copies.
 */
export class AnsweredTickets {
  readonly #tickets = new Set<string>()

  note(request: WireRequest, answer: string): void {
    const acquires = acquiresOf(request)
    if (acquires.length === 0) return
    const value = JSON.parse(answer) as { answers?: readonly unknown[] }
    const answers = value.answers ?? [value]
    for (const [index, { ticket }] of acquires.entries()) {
      const isOver = /"status":"(?:done|failed|busy)"/.test(JSON.stringify(answers[index]))
      if (ticket !== undefined && isOver) this.#tickets.add(ticket)
    }
  }

  has(request: WireRequest): boolean {
    return acquiresOf(request).some(({ ticket }) => ticket !== undefined && this.#tickets.has(ticket))
  }
}

/** What the request asks for, in order; for a batch the other calls as well, so that the places fit. */
function acquiresOf({ path, body }: WireRequest): readonly Acquire[] {
  if (body === undefined) return []
  if (path.endsWith('/acquire')) return [JSON.parse(body) as Acquire]
  if (path !== '/v1/batch') return []
  const { ops } = JSON.parse(body) as { ops: readonly Acquire[] }
  return ops.map(({ op, ticket }) => (op === 'acquire' && ticket !== undefined ? { ticket } : {}))
}
