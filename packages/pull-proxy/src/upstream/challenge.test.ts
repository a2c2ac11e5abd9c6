import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseChallenges } from './challenge.ts'

/** Any UTF-16 code unit. */
const anyUnit = fc.nat(0xffff).map((code) => String.fromCharCode(code))

const bearer = (parameters: Record<string, string>) => ({ scheme: 'bearer', parameters })

test.each([
  ['', []],
  ['Bearer', [bearer({})]],
  [
    'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:library/app:pull"',
    [
      bearer({
        realm: 'https://auth.example/token',
        service: 'registry.example',
        scope: 'repository:library/app:pull',
      }),
    ],
  ],
  ['BEARER Realm="https://a/", SERVICE=b', [bearer({ realm: 'https://a/', service: 'b' })]],
  ['Bearer scope="repository:a:pull,push",realm=x', [bearer({ scope: 'repository:a:pull,push', realm: 'x' })]],
  [String.raw`Bearer realm="say \"hi\", \\o/"`, [bearer({ realm: String.raw`say "hi", \o/` })]],
  ['Bearer realm = "x" , service = "y"', [bearer({ realm: 'x', service: 'y' })]],
  ['Basic realm="x", Bearer realm="y"', [{ scheme: 'basic', parameters: { realm: 'x' } }, bearer({ realm: 'y' })]],
  [
    'Negotiate, Basic realm="x",Bearer realm="y"',
    [{ scheme: 'negotiate', parameters: {} }, { scheme: 'basic', parameters: { realm: 'x' } }, bearer({ realm: 'y' })],
  ],
  ['Bearer realm=""', [bearer({ realm: '' })]],
])('parseChallenges() reads %j', (header, challenges) => {
  expect(parseChallenges(header)).toEqual(challenges)
})

test('parseChallenges() passes over the token of a scheme that it does not know', () => {
  expect(parseChallenges('Negotiate YIIB==, Bearer realm="y"')).toContainEqual(bearer({ realm: 'y' }))
})

test('parseChallenges() reads anything without throwing, and soon', () => {
  fc.assert(fc.property(fc.string({ unit: anyUnit }), (header) => Array.isArray(parseChallenges(header))))
  const startMs = performance.now()
  for (const piece of ['Bearer ', 'a="', String.raw`a="\\`, ' ', ',', 'a=b,', 'a '])
    parseChallenges(piece.repeat(3_000))
  expect(performance.now() - startMs).toBeLessThan(1_000)
})
