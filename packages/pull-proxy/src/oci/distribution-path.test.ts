import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseDistributionPath } from './distribution-path.ts'
import { thrownBy } from '../failure-of.testbed.ts'
import { OciError } from './oci-error.ts'

test.each([
  ['/v2', { kind: 'base' }],
  ['/v2/', { kind: 'base' }],
  ['/v2/app/manifests/latest', { kind: 'manifests', name: 'app', reference: 'latest' }],
  ['/v2/a/b/c/blobs/sha256:12', { kind: 'blobs', name: 'a/b/c', reference: 'sha256:12' }],
  ['/v2/a/referrers/sha256:12', { kind: 'referrers', name: 'a', reference: 'sha256:12' }],
  ['/v2/a/b/tags/list', { kind: 'tags', name: 'a/b' }],
  ['/v2/docker.io/library/app/manifests/1', { kind: 'manifests', name: 'docker.io/library/app', reference: '1' }],
  // A name may hold the words that end the other parts.
  ['/v2/blobs/manifests/manifests/latest', { kind: 'manifests', name: 'blobs/manifests', reference: 'latest' }],
  ['/v2/a/tags/list/tags/list', { kind: 'tags', name: 'a/tags/list' }],
  ['/v2/a/blobs/sha256%3A12', { kind: 'blobs', name: 'a', reference: 'sha256:12' }],
  ['/v2/host%3A5000/a/manifests/x', { kind: 'manifests', name: 'host:5000/a', reference: 'x' }],
])('parseDistributionPath() reads %s', (path, expected) => {
  expect(parseDistributionPath(path)).toEqual(expected)
})

test.each([
  '',
  '/',
  '/v1/',
  '/v2/_catalog',
  '/v2/app',
  '/v2/manifests/latest',
  '/v2/app/manifests/',
  '/v2/app/blobs/uploads/',
  '/v2/app/other/x',
  '/V2/app/manifests/x',
  '/v2/%zz/manifests/x',
  '/v2/a/manifests/%E0%A4%A',
])('parseDistributionPath() refuses %j', (path) => {
  expect(() => parseDistributionPath(path)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
})

test('parseDistributionPath() throws nothing but OciError', () => {
  const piece = fc.oneof(fc.constantFrom('/', '/v2/', 'manifests', 'blobs', 'tags/list', '%', '%2f', '..'), fc.string())
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const error = thrownBy(() => parseDistributionPath(pieces.join('')))
      expect(error === undefined || error instanceof OciError).toBe(true)
    }),
  )
})
