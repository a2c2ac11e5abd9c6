import { describe, expect, test } from 'vitest'

import { parseTarget } from './request-target.ts'

describe('parseTarget()', () => {
  test.each([
    ['GET', '/v2/', { kind: 'ping' }],
    ['HEAD', '/v2/a/b/manifests/1.0?ns=docker.io', { kind: 'manifest', repository: 'a/b', reference: '1.0' }],
    ['GET', '/v2/docker.io/a/b/blobs/sha256:00', { kind: 'blob', repository: 'docker.io/a/b', reference: 'sha256:00' }],
    ['GET', '/v2/a/tags/list', { kind: 'tags', repository: 'a' }],
    ['GET', '/v2/a/referrers/sha256:00', { kind: 'referrers', repository: 'a', reference: 'sha256:00' }],
    ['PUT', '/v2/a/manifests/1.0', { kind: 'upload', repository: 'a', reference: '1.0' }],
    ['PATCH', '/v2/a/blobs/uploads/1', { kind: 'upload', repository: 'a' }],
    ['POST', '/token', { kind: 'token' }],
    ['GET', '/storage/sha256:00?signature=x', { kind: 'storage', reference: 'sha256:00' }],
    ['GET', '/metrics', { kind: 'other' }],
  ])('%s %s', (method, url, expected) => {
    expect(parseTarget(method, url)).toEqual(expected)
  })
})
