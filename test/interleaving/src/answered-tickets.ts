import type { WireRequest } from './server-in-process.ts'

interface Acquire {
  readonly op?: string
  readonly ticket?: string
}

/**
 * Tickets that were told `done`, `failed` or `busy`. The server knows nothing of them any more, so a late copy of their
 * request counts as a new wish: on a free key it makes a hold that no client knows of, which lasts as long as the
 * session. The network spares them for as long as that is so; a test of its own shows the defect.
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
