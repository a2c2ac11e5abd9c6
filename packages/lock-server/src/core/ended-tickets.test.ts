import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { appendEnded, dropEnded, findEnded } from './ended-tickets.ts'
import type { Ended, SessionRef } from './record.ts'

const names = fc.constantFrom('a', 'b', 'c', 'd', 'e')

type Step = { readonly append: string } | { readonly passMs: number }
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    names.map((append) => ({ append })),
    fc.nat({ max: 30 }).map((passMs) => ({ passMs })),
  ),
  { maxLength: 60 },
)

test('findEnded() finds what a plain look at the list finds, however it came to be', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 8 }), fc.boolean(), (sequence, most, isReadAnew) => {
      let list: readonly Ended[] = []
      let nowMs = 0
      for (const step of sequence) {
        if ('passMs' in step) {
          nowMs += step.passMs
          list = dropEnded(list, nowMs)
        } else {
          const end = { ticket: step.append, session: `s-${step.append}` as SessionRef, how: 'released' } as const
          list = appendEnded(list, { ...end, untilMs: nowMs + 50 }, most)
        }
        expect(list.length).toBeLessThanOrEqual(most)
        expect(list.every(({ untilMs }) => untilMs > nowMs)).toBe(true)
        // As a store gives it back: a list of which nothing is derived yet.
        const asked = isReadAnew ? structuredClone(list) : list
        for (const ticket of ['a', 'b', 'c', 'd', 'e']) {
          for (const session of [`s-${ticket}`, 's-other'] as SessionRef[]) {
            const plain = asked.find((end) => end.ticket === ticket && end.session === session)
            expect(findEnded(asked, ticket, session)).toBe(plain)
          }
        }
      }
    }),
  )
})

test('appendEnded() leaves the list that it was given as it was', () => {
  const end = { ticket: 't', session: 's' as SessionRef, how: 'failed', untilMs: 1 } as const
  const before = appendEnded([], end, 1)
  const after = appendEnded(before, { ...end, ticket: 'u' }, 1)
  expect(before.map(({ ticket }) => ticket)).toEqual(['t'])
  expect(after.map(({ ticket }) => ticket)).toEqual(['u'])
})
