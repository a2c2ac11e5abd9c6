import { expect, test } from 'vitest'
import { contentIdOf, digestOfId, domainOfId, isDomain } from './content-id.ts'
import { parseDigest } from './digest.ts'

const digest = parseDigest(`sha256:${'a'.repeat(64)}`)

test.each([undefined, 'docker.io', 'registry.example:5000'])('an id holds its digest and its domain: %s', (domain) => {
  const id = contentIdOf(digest, domain)
  expect(digestOfId(id)).toBe(digest)
  expect(domainOfId(id)).toBe(domain)
})

test('content that all may read is known by its digest', () => {
  expect(contentIdOf(digest, undefined)).toBe(digest)
  expect(contentIdOf(digest, 'a.example')).not.toBe(contentIdOf(digest, 'b.example'))
})

test.each([
  ['docker.io', true],
  ['localhost:5000', true],
  ['..', true],
  ['', false],
  ['a/b', false],
  ['A.example', false],
  ['a:b', false],
  ['a.example:', false],
  ['a'.repeat(256), false],
])('isDomain() of %j is %s', (text, answer) => {
  expect(isDomain(text)).toBe(answer)
})
