import type { TSchema } from 'typebox'
import { Compile } from 'typebox/schema'
import { expect, test } from 'vitest'
import { Acquire, AcquireAnswer, Complete, Fail } from './lock.ts'
import { UpdateCopies } from './record.ts'
import { ROUTES, type Route } from './routes.ts'
import { OpenSession } from './session.ts'

const routes: [string, Route][] = Object.entries(ROUTES)

function accepts(schema: TSchema, value: unknown): boolean {
  return Compile(schema).Check(value)
}

test('ROUTES names each method and path once', () => {
  const lines = routes.map(([, { method, path }]) => `${method} ${path}`)
  expect(new Set(lines).size).toBe(lines.length)
})

test.each(routes)('ROUTES.%s is in version 1, and says what it does in a sentence', (_name, { path, summary }) => {
  expect(path).toMatch(/^\/v1\/[a-z{}/]+$/)
  expect(summary).toMatch(/^[A-Z].*\.$/)
})

test.each(routes.filter(([, { body }]) => body !== undefined))(
  'ROUTES.%s refuses unknown fields',
  (_name, { body }) => {
    expect(body).toMatchObject({ additionalProperties: false })
  },
)

test('Acquire takes what the design names, and nothing out of bounds', () => {
  const full = { group: 'g', enqueue: false, waitMs: 25_000, ignoreOutcome: true, unlessReferenced: true, limit: 5 }
  expect(accepts(Acquire, { ticket: 't' })).toBe(true)
  expect(accepts(Acquire, { ticket: 't', ...full, maxHoldMs: 1 })).toBe(true)
  for (const wrong of [{ ticket: '' }, { ticket: 'a b' }, { ticket: 'ü' }, { ticket: 'x'.repeat(129) }, {}]) {
    expect(accepts(Acquire, wrong)).toBe(false)
  }
  for (const wrong of [{ waitMs: 25_001 }, { waitMs: -1 }, { waitMs: 0.5 }, { limit: 0 }, { limit: '1' }, { x: 1 }]) {
    expect(accepts(Acquire, { ticket: 't', ...wrong })).toBe(false)
  }
})

test('AcquireAnswer knows each status, and no other', () => {
  const error = { code: 'c', message: 'm' }
  for (const answer of [
    { status: 'granted', fencingToken: 1, attempt: 1, lastError: error, holdMs: 5 },
    { status: 'queued', position: 1, holder: { node: 'a' }, source: { node: 'a', endpoint: 'http://a' } },
    { status: 'busy' },
    { status: 'done', fencingToken: 1, by: { node: 'a' }, ageMs: 0, copies: [], value: null },
    { status: 'failed', error, attempts: 3, retryAfterMs: 0 },
  ]) {
    expect(accepts(AcquireAnswer, answer)).toBe(true)
  }
  expect(accepts(AcquireAnswer, { status: 'granted', fencingToken: 0, attempt: 1 })).toBe(false)
  expect(accepts(AcquireAnswer, { status: 'maybe' })).toBe(false)
})

test('Complete and Fail need a token, and Fail an error', () => {
  expect(accepts(Complete, { fencingToken: 1, value: { any: ['thing'] }, retainMs: 0 })).toBe(true)
  expect(accepts(Complete, { value: 1 })).toBe(false)
  expect(accepts(Complete, { fencingToken: 1, retainMs: 366 * 24 * 3_600_000 })).toBe(false)
  expect(accepts(Fail, { fencingToken: 1, error: { code: 'c', message: '' } })).toBe(true)
  expect(accepts(Fail, { fencingToken: 1, error: { code: '', message: '' } })).toBe(false)
  expect(accepts(Fail, { fencingToken: 1 })).toBe(false)
})

test('OpenSession wants a node, a TTL within bounds, and an endpoint that is an http or https URL', () => {
  expect(accepts(OpenSession, { node: 'a', endpoint: 'https://a:1', ttlMs: 1_000, labels: { zone: 'z' } })).toBe(true)
  for (const wrong of [
    { ttlMs: 999 },
    { ttlMs: 600_001 },
    { endpoint: 'a:1' },
    { endpoint: 'ftp://a' },
    { node: '' },
  ]) {
    expect(accepts(OpenSession, { node: 'a', ...wrong })).toBe(false)
  }
})

test('OpenSession bounds labels, their names and their texts, and takes no control characters', () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`l${index}`, 'v']))
  const astral = '\u{1F600}'
  const right = [{}, many(32), { ['x'.repeat(64)]: 'y'.repeat(256) }, { [`ä ${astral}`]: astral }, { empty: '' }]
  for (const labels of right) expect(accepts(OpenSession, { node: `ä ${astral}`, labels })).toBe(true)
  for (const labels of [
    many(33),
    { '': 'v' },
    { ['x'.repeat(65)]: 'v' },
    { 'a\nb': 'v' },
    { 'a\uDC00': 'v' },
    { a: 'y'.repeat(257) },
    { a: '\u001B[2J' },
    { a: '\u009B2J' },
    { a: '\uD800' },
    { a: 5 },
  ]) {
    expect(accepts(OpenSession, { node: 'a', labels })).toBe(false)
  }
  for (const node of ['a\n', '\u001B[2J', '\u007F', '\u0085', '\uD800', 'a\uDC00b']) {
    expect(accepts(OpenSession, { node })).toBe(false)
  }
})

test('UpdateCopies takes up to 1,000 keys of each kind', () => {
  expect(accepts(UpdateCopies, { add: Array(1_000).fill('k'), remove: [] })).toBe(true)
  expect(accepts(UpdateCopies, { add: Array(1_001).fill('k') })).toBe(false)
})
